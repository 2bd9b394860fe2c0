import { type AlgorithmName, compilePolicies, type Policy } from '@sluice/core';
import { limitsPolicy } from '../users/limits.js';
import type { Mistakes } from './mistakes.js';
import type { OptionName } from './options.js';
import { sayingWhy } from './readers.js';
import type { DefaultLimits } from './settings.js';
import type { Given } from './sources.js';

/** As of rateLimit(). */
const usual = { limit: 1_000, window: '1h' } as const;

/** The ways to say what everybody is granted: each by the options that belong together, the first two of them required. */
const ways = [
  { names: ['limit', 'window', 'burst'], algorithm: undefined },
  { names: ['maxTokens', 'refillRate'], algorithm: 'token-bucket' },
  { names: ['capacity', 'leakRate'], algorithm: 'leaky-bucket' },
] as const satisfies readonly { names: readonly OptionName[]; algorithm: AlgorithmName | undefined }[];

/** What everybody is granted where no rule says otherwise. `undefined` after a mistake. */
export function defaultLimitsOf(given: Given, mistakes: Mistakes): DefaultLimits | undefined {
  const chosen = ways.filter(({ names }) => names.some((name) => given.has(name)));
  const [way, other] = chosen.map(({ names }) => names.find((name) => given.has(name))!);
  if (other !== undefined) {
    mistakes.add(
      given.placeOf(other),
      `says in other words what ${given.placeOf(way!).text} says. Leave out one of the two.`,
    );
    return undefined;
  }
  for (const { names, algorithm } of chosen) if (!isWhole(names, algorithm, given, mistakes)) return undefined;

  const place = given.placeOf(given.has('burst') ? 'burst' : (way ?? 'algorithm'));
  return mistakes.catch(place, () => {
    const policy = policyOf(given);
    if (policy === undefined) return undefined;
    const [compiled] = sayingWhy(() => compilePolicies([policy], 'limit'), 'limit');
    const { limit, window, burst } = policy;
    return { algorithm: compiled!.algorithm, limit, window, ...(burst !== undefined && { burst }) };
  });
}

/** Whether the first two are there, and the algorithm is the one that their words are of. */
function isWhole(
  names: readonly OptionName[],
  algorithm: AlgorithmName | undefined,
  given: Given,
  mistakes: Mistakes,
): boolean {
  const [first, second] = names as readonly [OptionName, OptionName];
  const missing = [first, second].find((name) => !given.has(name));
  if (missing !== undefined) {
    const present = names.find((name) => given.has(name))!;
    mistakes.add(given.placeOf(present), `needs ${given.spell(missing, present)} as well.`);
    return false;
  }
  const named = given.value('algorithm');
  if (algorithm === undefined || named === undefined || named === algorithm) return true;
  mistakes.add(
    given.placeOf('algorithm'),
    `is ${named}, and ${given.placeOf(first).text} is of a ${algorithm}. Leave out one of the two.`,
  );
  return false;
}

/** `undefined` where something is wrong with one of its parts. */
function policyOf(given: Given): Policy | undefined {
  if (given.has('maxTokens')) {
    const [max_tokens, refill_rate] = [given.value('maxTokens'), given.value('refillRate')];
    if (max_tokens === undefined || refill_rate === undefined) return undefined;
    return limitsPolicy({ algorithm: 'token-bucket', max_tokens, refill_rate });
  }
  if (given.has('capacity')) {
    const [capacity, leak_rate] = [given.value('capacity'), given.value('leakRate')];
    if (capacity === undefined || leak_rate === undefined) return undefined;
    return limitsPolicy({ algorithm: 'leaky-bucket', capacity, leak_rate });
  }
  const algorithm = given.value('algorithm');
  const burst = given.value('burst');
  const isGiven = given.has('limit');
  const limit = isGiven ? given.value('limit') : usual.limit;
  const window = isGiven ? given.value('window') : usual.window;
  if (limit === undefined || window === undefined) return undefined;
  if (algorithm === undefined && given.has('algorithm')) return undefined;
  if (burst === undefined && given.has('burst')) return undefined;
  return { limit, window, ...(algorithm && { algorithm }), ...(burst !== undefined && { burst }) };
}
