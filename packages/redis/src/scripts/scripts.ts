import { batch } from './batch.js';
import { consume } from './consume.js';
import { lease } from './lease.js';
import { lower } from './lower.js';
import { functions, opening as start } from './prelude.js';
import { probe } from './probe.js';
import { release } from './release.js';
import { reset } from './reset.js';
import { type Script, ScriptFamily, scriptOf, singleOf, type Uses } from './script-family.js';

/** What can be asked of a server: each is a script of its own, and a part of the script for many calls. */
export type Operation = 'consume' | 'peek' | 'lease' | 'release' | 'lower' | 'reset';

const operations: Readonly<Record<Operation, { readonly lua: string; readonly uses?: Uses }>> = {
  consume: { lua: consume },
  peek: { lua: consume },
  lease: { lua: lease, uses: { lease: true } },
  release: { lua: release, uses: { back: true } },
  lower: { lua: lower },
  reset: { lua: reset, uses: { back: true } },
};

/** All the scripts of a store. The tests give them an opening with a time of its own. */
export class Scripts {
  readonly probe: Script;
  /** Does what many calls ask for. */
  readonly batch: ScriptFamily;
  readonly #alone: ReadonlyMap<Operation, ScriptFamily>;
  /** What most calls ask for, one charge, by the letter of its policy. */
  readonly #single = new Map<string, Script | undefined>();
  readonly #opening: string;

  constructor(opening = start) {
    const prelude = opening + functions;
    this.#opening = opening;
    this.probe = scriptOf(opening + probe);
    this.batch = new ScriptFamily(prelude, batch, { lease: true, back: true });
    const alone = Object.entries(operations).map(([operation, { lua, uses }]) => {
      const body = `${lua}\n${operation}(1, #KEYS, 2, 2)\nreturn reply\n`;
      return [operation as Operation, new ScriptFamily(prelude, body, uses)] as const;
    });
    this.#alone = new Map(alone);
  }

  /**
   * The script that does one thing for policies whose terms begin with these letters.
   *
   * KEYS   those of the call, of which there are so many
   * ARGV   the fence, and the arguments of the operation
   * reply  the time, and the reply of the operation; the time alone if the call came too late
   */
  alone(operation: Operation, letters: string, keys: number): Script {
    const single = operation === 'consume' && keys === 1 ? this.#singleOf(letters) : undefined;
    return single ?? this.#alone.get(operation)!.for(letters);
  }

  #singleOf(letter: string): Script | undefined {
    if (!this.#single.has(letter)) this.#single.set(letter, singleOf(letter, this.#opening));
    return this.#single.get(letter);
  }
}
