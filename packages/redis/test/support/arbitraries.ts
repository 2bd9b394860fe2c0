import { type AlgorithmName, type CompiledPolicy, compilePenalty } from '@sluice/core';
import fc from 'fast-check';
import {
  buckets,
  compile,
  names,
  policies,
  type Step,
  steps,
  stepsWithSetbacks,
  year,
} from '../../../core/test/algorithms/arbitraries.ts';
import type { Line, Move } from './trace.ts';

/** Milliseconds. */
const durations = fc.oneof(
  fc.integer({ min: 1, max: 100_000 }),
  fc.constantFrom(1_000, 60_000, 900_000, 86_400_000, 366 * 86_400_000),
);

/** Blocks and bans of that name. */
export function penalties(name: string): fc.Arbitrary<CompiledPolicy> {
  const options = fc.record({
    blockFor: durations,
    longest: fc.option(durations, { nil: undefined }),
    restart: fc.boolean(),
    forgetAfter: durations,
    banAfter: fc.option(fc.integer({ min: 1, max: 6 }), { nil: undefined }),
    banFor: durations,
  });
  return options.map(({ blockFor, longest, restart, forgetAfter, banAfter, banFor }) => {
    const escalation = longest === undefined ? {} : { escalate: true, longest: Math.max(blockFor, longest) };
    const banned = banAfter === undefined ? {} : { banAfter, banFor };
    const memory = longest === undefined && banAfter === undefined ? {} : { forgetAfter };
    const penalty = { blockFor, restart, ...escalation, ...banned, ...memory };
    const { block, ban } = compilePenalty(penalty, 'penalties', 'test');
    return { ...(ban ?? block)!, id: `penalty:${name}`, name };
  });
}

/** What becomes of a policy in the course of a trace: half of the time, only its limit and burst change. */
export function variantsOf(
  name: AlgorithmName,
  minLength: number,
  maxLength = minLength,
): fc.Arbitrary<readonly CompiledPolicy[]> {
  const variants = fc.array(policies(name), { minLength, maxLength });
  return fc.tuple(variants, fc.boolean()).map(([variants, isSame]) => {
    const { windowMs: window, anchor, countRefused } = variants[0]!;
    if (!isSame) return variants;
    return variants.map(({ limit, capacity }) => {
      const burst = Math.min(capacity, Math.floor((limit * 100 * year) / window));
      const own = buckets.includes(name) ? { burst } : name === 'fixed-window' ? { anchor } : {};
      return compile({ algorithm: name, limit, window, countRefused, ...own });
    });
  });
}

/** Up to four policies of one key or two, each with so many variants. */
export function lists(variants: number): fc.Arbitrary<readonly Line[]> {
  const line = fc.constantFrom(...names, 'penalty' as const).chain((name) =>
    fc.record({
      key: fc.constantFrom('alice', 'alice', 'bob'),
      variants:
        name === 'penalty'
          ? fc.array(penalties('test'), { minLength: variants, maxLength: variants })
          : variantsOf(name, variants),
    }),
  );
  return fc.array(line, { minLength: 2, maxLength: 4 }).map((lines) =>
    lines.map(({ key, variants }, i) => ({
      key,
      // The first is called as policies are that have no name.
      variants: variants.map((policy) =>
        i === 0 ? policy : { ...policy, name: `p${i}`, id: `${policy.algorithm}:p${i}` },
      ),
    })),
  );
}

/** Moves of a single line. Where they are given, `changes` say which variant its policy changes to before each. */
export function alone(steps: readonly Step[], changes: readonly (number | undefined)[] = []): readonly Move[] {
  return steps.map((step, i) => ({ ...step, of: 0, lines: 1, variant: changes[i] }));
}

/** Moves of several lines; `wild` ones set the clock back, and change the policies. */
export function movesOf(wild: boolean): fc.Arbitrary<readonly Move[]> {
  const asks = ['consume', 'consume', 'consume', 'peek', 'release', 'return'] as const;
  const more = fc.record({
    of: fc.nat(3),
    lines: fc.oneof(fc.constant(15), fc.integer({ min: 1, max: 15 })),
    variant: wild ? fc.option(fc.nat(1), { nil: undefined, freq: 3 }) : fc.constant(undefined),
  });
  return fc
    .tuple(wild ? stepsWithSetbacks(asks) : steps(asks), fc.array(more, { minLength: 40, maxLength: 40 }))
    .map(([steps, rest]) => steps.map((step, i) => ({ ...step, ...rest[i]! })));
}
