import { micros } from '../duration.js';
import type { CompiledPolicy } from '../policy.js';
import { type Algorithm, decision } from './algorithm.js';

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
    return {
      state: next,
      decision: decision(
        policy,
        allowed,
        limit - after,
        now,
        after > 0 ? end : now,
        cost > limit || limit === 0 ? Number.POSITIVE_INFINITY : end,
        now,
      ),
    };
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
    read: (cells, at) => ({ end: cells[at]!, used: cells[at + 1]! }),
    write(cells, at, state) {
      cells[at] = state.end;
      cells[at + 1] = state.used;
    },
  },
};

/**
 * A window that has begun ends when it was to end, even if the clock was set back or the policy's window has changed
 * since, but a window from now at the latest.
 */
function endOfWindow({ anchor, window }: CompiledPolicy, live: FixedWindowState | undefined, now: number): number {
  if (live) return Math.min(live.end, now + window);
  return anchor === 'epoch' ? now - (now % window) + window : now + window;
}
