import type { Decision } from '../decision.js';
import { micros } from '../duration.js';
import type { CompiledPolicy } from '../policy.js';
import { type Algorithm, decision } from './algorithm.js';
import { remainder } from './arithmetic.js';
import { firstAt, instantAt, writeCells, writeFirst } from './cells.js';

/** Units used in the window that ends (exclusively) at `end`. */
export interface FixedWindowState {
  readonly end: number;
  readonly used: number;
}

/** Counts units per window; the count starts again when the next window does. */
export const fixedWindow: Algorithm<FixedWindowState> = {
  decide(policy, state, cost, now, take) {
    const { limit } = policy;
    const live = state !== undefined && now < state.end;
    const end = endOfWindow(policy, live ? state : undefined, now);
    const used = live ? state.used : 0;
    const allowed = limit > 0 && used + cost <= limit;

    let after = used;
    if (take && allowed) after += cost;
    else if (take && policy.countRefused) after = Math.max(used, limit);

    const moved = live && end !== state.end;
    const next = after !== used || (take && moved) ? { end, used: after } : state;
    return { state: next, decision: told(policy, allowed, cost, after, end, now) };
  },

  giveBack(policy, state, units, at, now) {
    if (now >= state.end) return undefined;
    if (at !== undefined && at < state.end - policy.window) return state;
    return units < state.used ? { end: state.end, used: state.used - units } : undefined;
  },

  recall: ({ limit }, { remaining, resetAfter, at }) => ({
    end: micros(at) + micros(resetAfter),
    used: Math.max(0, limit - remaining),
  }),

  worse(_policy, a, b, now) {
    if (now >= a.end) return b;
    if (now >= b.end) return a;
    return { end: Math.max(a.end, b.end), used: Math.max(a.used, b.used) };
  },

  cells: {
    read: (words, at) => ({ end: instantAt(words, at), used: firstAt(words, at) }),
    write: (words, at, { end, used }) => writeCells(words, at, end, used, 0),
    freshAt: instantAt,
    consume(words, at, policy, cost, now) {
      const { limit, window } = policy;
      const end = instantAt(words, at);
      if (now >= end || end > now + window || policy.countRefused) return undefined;
      const used = firstAt(words, at);
      const after = used + cost;
      if (limit === 0 || after > limit) return told(policy, false, cost, used, end, now);
      if (after === limit) return undefined;
      if (!writeFirst(words, at, after)) return undefined;
      return told(policy, true, cost, after, end, now);
    },
  },
};

function told(
  policy: CompiledPolicy,
  allowed: boolean,
  cost: number,
  used: number,
  end: number,
  now: number,
): Decision {
  const { limit } = policy;
  const retryAt = cost > limit || limit === 0 ? Number.POSITIVE_INFINITY : end;
  return decision(policy, allowed, limit - used, now, used > 0 ? end : now, retryAt, now);
}

/**
 * A window that has begun ends when it was to end, even if the clock was set back or the policy's window has changed
 * since, but a window from now at the latest.
 */
function endOfWindow({ anchor, window }: CompiledPolicy, live: FixedWindowState | undefined, now: number): number {
  if (live) return Math.min(live.end, now + window);
  return anchor === 'epoch' ? now - remainder(now, window) + window : now + window;
}
