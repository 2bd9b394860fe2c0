import { batch } from './batch.js';
import { consume, single } from './consume.js';
import { lease } from './lease.js';
import { lower } from './lower.js';
import { prelude } from './prelude.js';
import { probe } from './probe.js';
import { release } from './release.js';
import { reset } from './reset.js';
import { type Script, ScriptFamily, scriptOf, type Uses } from './script-family.js';

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

/** All the scripts of a store. The tests give them a prelude with a time of its own. */
export class Scripts {
  readonly probe: Script;
  /** Does what many calls ask for. */
  readonly batch: ScriptFamily;
  readonly #alone: ReadonlyMap<Operation, ScriptFamily>;
  /** What most calls ask for: one charge. */
  readonly #single: ScriptFamily;

  constructor(opening = prelude) {
    this.probe = scriptOf(opening + probe);
    this.batch = new ScriptFamily(opening, batch, { lease: true, back: true });
    this.#single = new ScriptFamily(opening, single);
    const alone = Object.entries(operations).map(([operation, { lua, uses }]) => {
      const body = `${lua}\n${operation}(1, #KEYS, 2, 2)\nreturn reply\n`;
      return [operation as Operation, new ScriptFamily(opening, body, uses)] as const;
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
    if (operation === 'consume' && keys === 1) return this.#single.for(letters);
    return this.#alone.get(operation)!.for(letters);
  }
}
