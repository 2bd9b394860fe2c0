import { describe } from 'vitest';
import { behind, one, refuses } from './wrong-options.ts';

const tiers = { tiers: { free: '1/1h', pro: '5/1h' }, tier: () => 'free', defaultTier: 'free' };

describe('of tiers', () => {
  const ofRule = (wrong: object) => behind({ match: '/a', ...wrong }, tiers);
  refuses([
    ['none', { tiers: {} }, 'INVALID_OPTION', /^rateLimit: 'tiers' has no tier.+tiers: \{ free: '100\/1h' \}/],
    ['null', { ...tiers, tiers: null }, 'INVALID_OPTION', /^tiers takes an object.+free: '100\/1h'/],
    ['a text', { ...tiers, tiers: 'free' }, 'INVALID_OPTION', /^tiers takes an object.+got "free"/],
    ['a list', { ...tiers, tiers: ['1/1h'] }, 'INVALID_OPTION', /^tiers takes an object/],
    ['undefined', { ...tiers, tiers: undefined }, 'INVALID_OPTION', /'tiers' is undefined.+leave it out/],
    ['no default', { ...tiers, defaultTier: undefined }, 'INVALID_OPTION', /'defaultTier' must be.+one of free, pro/],
    ['an unknown default', { ...tiers, defaultTier: 'gold' }, 'INVALID_OPTION', /one of free, pro; got "gold"/],
    ['a default every object has', { ...tiers, defaultTier: 'toString' }, 'INVALID_OPTION', /one of free, pro/],
    ['a default that is no text', { ...tiers, defaultTier: 7 }, 'INVALID_OPTION', /"defaultTier" must be a string/],
    ['no way to tell', { ...tiers, tier: undefined }, 'INVALID_OPTION', /without 'tier'.+Add a function/],
    ['no function', { ...tiers, tier: 'free' }, 'INVALID_OPTION', /"tier" must be a function/],
    [
      'only how to tell',
      { tier: () => 'free' },
      'INVALID_OPTION',
      /'tier' is given, but there are no tiers\. Add tiers/,
    ],
    ['only a default', { defaultTier: 'free' }, 'INVALID_OPTION', /'defaultTier' is given, but there are no tiers/],
    ['a limit beside', { ...tiers, limit: 5 }, 'INVALID_OPTION', /'tiers' says .+Leave out one of the two/],
    ['a list beside', { ...tiers, limits: ['5/1m'] }, 'INVALID_OPTION', /'tiers' says .+Leave out one of the two/],
    ['a window beside', { ...tiers, window: '1h' }, 'INVALID_OPTION', /'tiers' says .+Leave out one of the two/],
    ['no limit beside', { ...tiers, limit: false }, 'INVALID_OPTION', /'tiers' says .+Leave out one of the two/],
    ['a policy nobody can read', { ...tiers, tiers: { free: 'lots' } }, 'INVALID_POLICY', /^tiers\.free: .+'100\/1m'/],
    ['a policy that is a number', { ...tiers, tiers: { free: 5 } }, 'INVALID_OPTION', /^tiers\.free takes an object/],
    [
      'a policy that is true',
      { ...tiers, tiers: { free: true } },
      'INVALID_OPTION',
      /^tiers\.free takes policies.+false/,
    ],
    ['an undefined policy', { ...tiers, tiers: { free: undefined } }, 'INVALID_OPTION', /^tiers\.free takes policies/],
    [
      'a rule for one that is none',
      ofRule({ tier: 'gold', limit: 1, window: '1m' }),
      'INVALID_OPTION',
      /"gold", which is none of 'tiers': free, pro/,
    ],
    [
      'a rule for one, and for each',
      ofRule({ tier: 'pro', tiers: { free: '1/1m', pro: '2/1m' } }),
      'INVALID_OPTION',
      /'tier' says .+Leave out one of the two/,
    ],
    [
      'a rule for a tier that is no text',
      ofRule({ tier: 7, limit: 1, window: '1m' }),
      'INVALID_OPTION',
      /"tier" must be a string/,
    ],
    [
      'a rule for one, and no way to tell',
      behind({ match: '/a', tier: 'pro', limit: 1, window: '1m' }),
      'INVALID_OPTION',
      /without 'tier' everybody is of no tier/,
    ],
    ['an empty list', { ...tiers, tiers: { free: [] } }, 'INVALID_POLICY', /^tiers\.free takes a list/],
    ['a window of no time', { ...tiers, tiers: { free: { limit: 5 } } }, 'INVALID_WINDOW', /^tiers\.free: 'window'/],
    [
      'a name with a space',
      { ...tiers, tiers: { free: '1/1h', 'a b': '1/1h' } },
      'INVALID_POLICY',
      /^tiers\.a b: 'name'/,
    ],
    ['a cost above one', { ...tiers, cost: 3 }, 'INVALID_COST', /policy 'free' holds at most 1 .+Lower the cost/],
    ['an algorithm of no kind', { ...tiers, algorithm: 'gcra' }, 'INVALID_POLICY', /^tiers\.free: unknown algorithm/],
    [
      'an unknown one in a rule',
      ofRule({ tiers: { gold: '1/1h' } }),
      'UNKNOWN_OPTION',
      /^rules\[1\]: tiers has no option "gold".+free, pro/,
    ],
    [
      'a rule without one of them',
      ofRule({ tiers: { pro: '1/1h' } }),
      'INVALID_OPTION',
      /^rules\[1\]: 'tiers' has no limits for 'free', nor has the rule.+Add one of the two/,
    ],
    [
      'a rule with null',
      ofRule({ ...one, tiers: null }),
      'INVALID_OPTION',
      /^rules\[1\]: tiers takes an object.+got null/,
    ],
    ['a rule with undefined', ofRule({ tiers: undefined }), 'INVALID_OPTION', /^rules\[1\]: 'tiers' is undefined/],
    [
      'a wrong policy in a rule',
      ofRule({ tiers: { free: ['1/1m', 'lots'] } }),
      'INVALID_POLICY',
      /^rules\[1\]: tiers\.free\[1\]: .+'100\/1m'/,
    ],
    [
      'a rule alone without a default',
      behind({ match: '/a', tiers: { free: '1/1h' } }),
      'INVALID_OPTION',
      /'defaultTier' must be.+one of free; got undefined/,
    ],
  ]);
});
