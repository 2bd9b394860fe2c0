import { consume } from './consume.js';
import { lower } from './lower.js';
import { prelude } from './prelude.js';
import { probe } from './probe.js';
import { release } from './release.js';
import { reset } from './reset.js';
import { type Script, ScriptFamily, scriptOf } from './script-family.js';

/** All the scripts of a store. The tests give them a prelude with a time of its own. */
export class Scripts {
  readonly consume: ScriptFamily;
  readonly release: ScriptFamily;
  readonly lower: ScriptFamily;
  readonly reset: Script;
  readonly probe: Script;

  constructor(opening = prelude) {
    this.consume = new ScriptFamily(opening, consume);
    this.release = new ScriptFamily(opening, release);
    this.lower = new ScriptFamily(opening, lower);
    this.reset = scriptOf(opening + reset);
    this.probe = scriptOf(opening + probe);
  }
}
