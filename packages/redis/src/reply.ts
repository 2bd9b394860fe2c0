import type { Charge, Decision } from '@sluice/core';

/** What a reply to `consume` says of each charge, with what the policy says of itself. Replies count microseconds. */
export function decisionsOf(charges: readonly Charge[], reply: readonly number[]): readonly Decision[] {
  if (reply.length !== 5 * charges.length + 1) {
    throw new Error(`Redis answered ${charges.length} charges with ${reply.length} numbers.`);
  }
  const at = reply[0]! / 1_000;
  return charges.map(({ policy }, i) => {
    const retry = reply[5 * i + 4]!;
    return {
      allowed: reply[5 * i + 1] === 1,
      policy: policy.name,
      limit: policy.limit,
      remaining: reply[5 * i + 2]!,
      resetAfter: reply[5 * i + 3]! / 1_000,
      retryAfter: retry < 0 ? Number.POSITIVE_INFINITY : retry / 1_000,
      delay: reply[5 * i + 5]! / 1_000,
      at,
      source: 'store',
    };
  });
}
