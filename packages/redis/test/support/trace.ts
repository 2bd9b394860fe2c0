import { type Charge, type CompiledPolicy, type Decision, MemoryStore, type Store } from '@sluice/core';
import { ManualClock } from '@sluice/testing';
import { micros, type Step } from '../../../core/test/algorithms/arbitraries.ts';

/** A Line is one key under one policy, and what becomes of the policy in the course of a trace. */
export interface Line {
  readonly key: string;
  readonly variants: readonly CompiledPolicy[];
}

/** One move of a trace: time passes, then something is asked of some of the lines. */
export interface Move extends Step {
  /** Which line's last decision the gap goes by. */
  readonly of: number;
  /** Which lines are asked, as bits. */
  readonly lines: number;
  /** Which of their variants the policies change to before the move, if they do. */
  readonly variant: number | undefined;
}

/** What was asked at a time, and what a MemoryStore has answered. */
export interface Asked {
  readonly time: number;
  readonly method: 'consume' | 'peek' | 'release' | 'reset';
  readonly charges: readonly (Charge & { at?: number | undefined })[];
  readonly decisions: readonly Decision[];
}

/** Plays traces through a MemoryStore, and writes down what is asked and answered. */
export class Trace {
  readonly asked: Asked[] = [];
  readonly #clock: ManualClock;
  readonly #store: MemoryStore;
  /**
   * When a key may expire. In Redis, that is up to a millisecond later than in memory, where it is seen only under
   * another policy than that of the last write.
   */
  readonly #expiries: number[] = [];
  readonly #policiesChange: boolean;
  /** Whether policies change or the clock is set back. */
  readonly #isWild: boolean;
  #latest = 0;

  constructor(lines: readonly Line[], start: number, moves: readonly Move[], isWild = false) {
    this.#isWild = isWild;
    this.#clock = new ManualClock(start / 1_000);
    this.#store = new MemoryStore({ clock: this.#clock });
    this.#policiesChange = moves.some(({ variant }) => variant !== undefined);
    this.#play(lines, moves);
    this.#store.close();
  }

  /** Asks another store the same at the same times. All is sent at once: it must keep to the order. */
  static async ask(trace: readonly Asked[], storeAt: (clock: { now(): number }) => Store): Promise<readonly Asked[]> {
    let time = 0;
    const store = storeAt({ now: () => time });
    return Promise.all(
      trace.map(async (asked) => {
        const { method, charges } = asked;
        time = asked.time;
        if (method === 'consume' || method === 'peek') return { ...asked, decisions: await store[method](charges) };
        if (method === 'release') await store.release(charges);
        else await Promise.all(charges.map(({ key, policy }) => store.reset(key, [policy])));
        return asked;
      }),
    );
  }

  #play(lines: readonly Line[], moves: readonly Move[]): void {
    const policies = lines.map(({ variants }) => variants[0]!);
    const all = [...lines.keys()];
    const chargeOf = (i: number, cost: number) => ({ policy: policies[i]!, key: lines[i]!.key, cost });
    const look = (cost: (i: number) => number) => {
      const charges = all.map((i) => chargeOf(i, cost(i)));
      return this.#ask('peek', charges);
    };
    const last = [...look(() => 0)];
    /** What is fresh may be gone or not: looked at earlier, or under a longer window, it would count again. */
    const forgetFresh = () => {
      if (!this.#isWild) return;
      const fresh = look(() => 0).flatMap(({ resetAfter }, i) => (resetAfter === 0 ? [chargeOf(i, 0)] : []));
      this.#ask('reset', fresh);
    };
    /** Until a request has brought a state under its new policy, memory and Redis keep it for different times. */
    const changed = new Set<number>();
    const settle = (lines: readonly number[]) => {
      for (const i of lines) if (changed.delete(i)) this.#ask('consume', [chargeOf(i, 1)]);
    };
    const grants: (readonly { line: number; cost: number; at: number }[])[] = [];
    for (const move of moves) {
      const of = move.of % lines.length;
      forgetFresh();
      this.#move(move.gap(policies[of]!, last[of]!));
      forgetFresh();
      if (move.variant !== undefined) {
        for (const [i, { variants }] of lines.entries()) policies[i] = variants[(move.variant + i) % variants.length]!;
        for (const i of all) changed.add(i);
      }
      const costOf = (i: number) => move.cost(policies[i]!, last[i]!);
      const named = all.filter((i) => (move.lines >> i) & 1);
      const asked = named.length > 0 ? named : [of];
      const charges = asked.map((i) => chargeOf(i, costOf(i)));
      // What is given back while the clock is behind is forgotten at other instants in memory than in Redis.
      const isBehind = this.#clock.now() < this.#latest;
      if (move.ask === 'consume') {
        const decisions = this.#ask('consume', charges);
        for (const [d, i] of asked.entries()) last[i] = decisions[d]!;
        if (decisions.every(({ allowed }) => allowed)) {
          grants.push(charges.map(({ cost }, d) => ({ line: asked[d]!, cost, at: decisions[d]!.at })));
        }
      } else if (move.ask === 'release' && !isBehind) {
        settle(asked);
        this.#ask('release', charges);
      } else if (move.ask === 'return' && !isBehind && grants.length > 0) {
        const [grant] = grants.splice(move.which % grants.length, 1);
        const refunds = grant!.map(({ line, cost, at }) => ({ ...chargeOf(line, cost), at }));
        settle(grant!.map(({ line }) => line));
        this.#ask('release', refunds);
      }
      // Looks: at what is left, and at what a request like this one would be told next.
      look(() => 0);
      const seen = look(costOf);
      for (const i of all) if (move.ask !== 'consume' || !asked.includes(i)) last[i] = seen[i]!;
    }
  }

  #move(gap: number): void {
    const now = this.#clock.now();
    // Back to the epoch at the most.
    let then = Math.max(0, now + gap);
    for (const instant of this.#expiries) if (instant <= then && then < instant + 2_000) then = instant + 2_000;
    // A jump runs no timers: a sweep every second of a year would take its time, and may not change an answer.
    this.#clock.jump((then - now) / 1_000);
    this.#latest = Math.max(this.#latest, then);
  }

  #ask(method: Asked['method'], charges: Asked['charges']): readonly Decision[] {
    let decisions: readonly Decision[] = [];
    if (method === 'release') this.#store.release(charges);
    else if (method === 'reset') for (const { key, policy } of charges) this.#store.reset(key, [policy]);
    else decisions = this.#store[method](charges);
    for (const { at, resetAfter } of decisions) {
      if (this.#policiesChange) this.#expiries.push(micros(at) + micros(resetAfter));
    }
    this.#expiries.sort((a, b) => a - b);
    this.asked.push({ time: this.#clock.now(), method, charges, decisions });
    return decisions;
  }
}
