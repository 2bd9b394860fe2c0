import { algorithmOf } from '../../src/algorithms/index.ts';
import type { CompiledPolicy, Decision } from '../../src/index.ts';
import { micros, newYear, type Step } from './arbitraries.ts';

/** A Key plays the pure function of one policy by hand: it holds the state and the time. */
export class Key {
  policy: CompiledPolicy;
  state: unknown;
  /** Microseconds since the epoch. */
  now: number;

  constructor(policy: CompiledPolicy, now = newYear, state?: unknown) {
    this.policy = policy;
    this.now = now;
    this.state = state;
  }

  /** The same key at another time. */
  at(now: number): Key {
    return new Key(this.policy, now, this.state);
  }

  /** The key that never took anything, now. */
  fresh(): Key {
    return new Key(this.policy, this.now);
  }

  consume(cost = 1): Decision {
    const { state, decision } = algorithmOf(this.policy.algorithm).decide(
      this.policy,
      this.state,
      cost,
      this.now,
      true,
    );
    this.state = state;
    return decision;
  }

  peek(cost = 1): Decision {
    return algorithmOf(this.policy.algorithm).decide(this.policy, this.state, cost, this.now, false).decision;
  }

  release(units: number, granted?: Decision): void {
    if (this.state === undefined) return;
    const at = granted && micros(granted.at);
    this.state = algorithmOf(this.policy.algorithm).giveBack(this.policy, this.state, units, at, this.now);
  }

  /** Plays the consumptions of a trace, and says what was granted when. */
  play(trace: readonly Step[]): readonly Grant[] {
    const grants: Grant[] = [];
    let last = this.peek(0);
    for (const step of trace) {
      this.now += step.gap(this.policy, last);
      const cost = step.cost(this.policy, last);
      last = this.consume(cost);
      if (last.allowed && cost > 0) grants.push({ time: this.now, cost, delay: micros(last.delay) });
    }
    return grants;
  }
}

export interface Grant {
  readonly time: number;
  readonly cost: number;
  /** Microseconds. */
  readonly delay: number;
}
