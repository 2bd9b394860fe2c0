import { batch } from './batch.js';
import { consume } from './consume.js';
import { lease } from './lease.js';
import { lower } from './lower.js';
import { prelude } from './prelude.js';
import { probe } from './probe.js';
import { release } from './release.js';
import { reset } from './reset.js';
import { type Script, ScriptFamily, scriptOf } from './script-family.js';

/** What can be asked of a server: each is a script of its own, and a part of the script for many calls. */
export type Operation = 'consume' | 'peek' | 'lease' | 'release' | 'lower' | 'reset';

const functions: Readonly<Record<Operation, string>> = { consume, peek: consume, lease, release, lower, reset };

/** All the scripts of a store. The tests give them a prelude with a time of its own. */
export class Scripts {
  readonly probe: Script;
  /** Does what many calls ask for. */
  readonly batch: ScriptFamily;
  readonly #alone: ReadonlyMap<Operation, ScriptFamily>;

  constructor(opening = prelude) {
    this.probe = scriptOf(opening + probe);
    this.batch = new ScriptFamily(opening, batch);
    const alone = Object.entries(functions).map(([operation, declared]) => {
      const body = `${declared}\n${operation}(1, #KEYS, 2, 2)\nreturn reply\n`;
      return [operation as Operation, new ScriptFamily(opening, body)] as const;
    });
    this.#alone = new Map(alone);
  }

  /**
   * The script that does one thing for policies whose terms begin with these letters.
   *
   * KEYS   those of the call
   * ARGV   the fence, and the arguments of the operation
   * reply  the time, and the reply of the operation; the time alone if the call came too late
   */
  alone(operation: Operation, letters: string): Script {
    return this.#alone.get(operation)!.for(letters);
  }
}
