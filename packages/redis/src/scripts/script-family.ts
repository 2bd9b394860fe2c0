import { createHash } from 'node:crypto';
import type { CompiledPolicy } from '@sluice/core';
import { bucket } from './bucket.js';
import { fixedWindow } from './fixed-window.js';
import type { LuaAlgorithm } from './lua-algorithm.js';
import { penalty } from './penalty.js';
import { slidingWindowCounter } from './sliding-window-counter.js';
import { slidingWindowLog } from './sliding-window-log.js';

const twins: Readonly<Record<CompiledPolicy['algorithm'], LuaAlgorithm>> = {
  'fixed-window': fixedWindow,
  'sliding-window-log': slidingWindowLog,
  'sliding-window-counter': slidingWindowCounter,
  'token-bucket': bucket,
  'leaky-bucket': bucket,
  penalty,
};

/** What a script must know of a policy. Begins with the letter of its algorithm. */
export function termsOf(policy: CompiledPolicy): string {
  const twin = twins[policy.algorithm];
  return twin.code + twin.terms(policy);
}

/** A Script is Lua source, and the digest by which a server that has seen it knows it. */
export interface Script {
  readonly text: string;
  readonly sha: string;
}

export function scriptOf(text: string): Script {
  return { text, sha: createHash('sha1').update(text).digest('hex') };
}

/**
 * A ScriptFamily does one thing for any policies, with one script per set of algorithms: a server sets up no function
 * that a call does not use.
 */
export class ScriptFamily {
  readonly #prelude: string;
  readonly #body: string;
  readonly #scripts = new Map<string, Script>();

  /** `body` finds the functions in `deciders`, `givers` and `lessors`, by the first letter of the terms. */
  constructor(prelude: string, body: string) {
    this.#prelude = prelude;
    this.#body = body;
  }

  /** The script for terms that begin with these letters, each named once, in any order. */
  for(letters: string): Script {
    let script = this.#scripts.get(letters);
    if (script === undefined) {
      script = this.#build(letters);
      this.#scripts.set(letters, script);
    }
    return script;
  }

  #build(letters: string): Script {
    const algorithms = new Set(Object.values(twins).filter(({ code }) => letters.includes(code)));
    const functions = (suffix: string, has: (algorithm: LuaAlgorithm) => boolean = () => true) =>
      [...algorithms]
        .filter(has)
        .map(({ code, name }) => `${code} = ${name}${suffix}`)
        .join(', ');
    return scriptOf(
      [
        this.#prelude,
        ...[...algorithms].map(({ lua }) => lua),
        `\nlocal deciders, givers = { ${functions('')} }, { ${functions('_back')} }\n`,
        `local lessors = { ${functions('_lease', ({ leases }) => leases)} }\n`,
        this.#body,
      ].join(''),
    );
  }
}
