import { createHash } from 'node:crypto';
import type { CompiledPolicy } from '@sluice/core';
import { bucket } from './bucket.js';
import { write } from './consume.js';
import { fixedWindow } from './fixed-window.js';
import type { LuaAlgorithm } from './lua-algorithm.js';
import { penalty } from './penalty.js';
import { functions, names as scriptNames } from './prelude.js';
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

/** The function that decides, and those that it uses. */
function decider({ name, functions = '', names, plain, isPlain }: LuaAlgorithm): string {
  if (plain === undefined || names === undefined) return functions;
  const leased =
    isPlain === undefined ? '' : `if not (${isPlain}) then return ${name}_leased(key, terms, cost, take) end`;
  return `${functions}
local function ${name}(key, terms, cost, take)
  local state = redis.call('GET', key)
  ${leased}
  local ${names.join(', ')} = unpack(terms)
  ${plain}
  return allowed, left, fresh, retry, from
end
`;
}

/**
 * The script that takes one charge of such a policy, as most calls do. Functions are set up only where the state is of
 * the kind that needs them.
 */
export function singleOf(letter: string, opening: string): Script | undefined {
  const algorithm = Object.values(twins).find(({ code }) => code === letter)!;
  const { name, names, plain, isPlain, functions: own = '' } = algorithm;
  if (plain === undefined || names === undefined) return undefined;
  const leased = `if not (${isPlain}) then
  ${functions}${decider(algorithm)}${write}
  write(2, ${name}_leased(key, terms_of(ARGV[2]), cost, take))
  return reply
end`;
  return scriptOf(`${opening}${scriptNames}
local key, cost, take = KEYS[1], tonumber(ARGV[3]), true
local state = redis.call('GET', key)
${isPlain === undefined ? own : leased}
local ${names.join(', ')} = string.match(ARGV[2], '^%l${names.map(() => '(%d+)').join(' ')}')
${names.map((number) => `${number} = tonumber(${number})`).join('\n')}
${plain}
if left < 0 then left = 0 end
fresh = fresh > now and fresh - now or 0
if allowed then return { now, left, fresh, from > now and from - now or 0 } end
return { now, -1 - left, fresh, retry == NEVER and NEVER or retry - now }
`);
}

/** What a script uses of the algorithms: that they decide in any case, and these besides. */
export interface Uses {
  readonly lease?: boolean;
  readonly back?: boolean;
}

/**
 * A ScriptFamily does one thing for any policies, with one script per set of algorithms: a server sets up no function
 * that a call does not use, since that takes longer than to run it.
 */
export class ScriptFamily {
  readonly #prelude: string;
  readonly #body: string;
  readonly #uses: Uses;
  readonly #scripts = new Map<string, Script>();

  /** `body` finds the functions in `deciders`, `givers` and `lessors`, by the first letter of the terms. */
  constructor(prelude: string, body: string, uses: Uses = {}) {
    this.#prelude = prelude;
    this.#body = body;
    this.#uses = uses;
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
    const { lease, back } = this.#uses;
    const algorithms = [...new Set(Object.values(twins).filter(({ code }) => letters.includes(code)))];
    const lessors = lease ? algorithms.filter((algorithm) => algorithm.lease !== undefined) : [];
    const table = (name: string, of: readonly LuaAlgorithm[], suffix = '') =>
      `local ${name} = { ${of.map((one) => `${one.code} = ${one.name}${suffix}`).join(', ')} }\n`;
    return scriptOf(
      [
        this.#prelude,
        ...algorithms.map(decider),
        ...lessors.map((algorithm) => algorithm.lease),
        ...(back ? algorithms.map((algorithm) => algorithm.back) : []),
        table('deciders', algorithms),
        lease ? table('lessors', lessors, '_lease') : '',
        back ? table('givers', algorithms, '_back') : '',
        this.#body,
      ].join(''),
    );
  }
}
