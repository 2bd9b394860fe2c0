import type { Decision } from '@sluice/core';
import { resetAt } from '../decisions/answer.js';

/** The state of one policy, as JSON has it. */
export function stateOf(state: Decision): object {
  const { limit, remaining, allowed, retryAfter, source } = state;
  return {
    limit,
    remaining,
    reset_at: resetAt(state),
    refused: !allowed,
    retry_after: allowed || retryAfter === Number.POSITIVE_INFINITY ? null : Math.max(1, Math.ceil(retryAfter / 1_000)),
    source,
  };
}
