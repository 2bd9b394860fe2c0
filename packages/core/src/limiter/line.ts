import type { Decision } from '../decision.js';
import { micros } from '../duration.js';
import { isPromise } from '../maybe-promise.js';
import { leastWait } from './least-wait.js';
import type { Waiter } from './waiter.js';
import type { Source } from './waiting-room.js';

/** What a Line tells its room. */
export interface LineEvents {
  /** Nobody stands in the line any more. */
  empty(): void;
  /** Units that had been taken were given back. */
  unitsReturned(): void;
}

/** One who has units, and is held until `due`. */
interface Held {
  readonly waiter: Waiter;
  readonly decision: Decision;
  due: number;
}

/** A Line serves those who wait for one key, in order of arrival. */
export class Line {
  readonly #source: Source;
  readonly #key: string;
  readonly #events: LineEvents;
  /** Those who have no units yet. */
  readonly #waiters = new Set<Waiter>();
  /** Those who have their units, and are held until the drain of a leaky bucket reaches them: the first one first. */
  readonly #held: Held[] = [];
  #cancelDrain: (() => void) | undefined;
  #closed = false;
  /** The one who is being served. */
  #front: Waiter | undefined;
  /** Ends the pause before the next attempt. */
  #wake: (() => void) | undefined;
  /** Units may have come back after the question that is under way was asked. */
  #changed = false;

  constructor(source: Source, key: string, events: LineEvents) {
    this.#source = source;
    this.#key = key;
    this.#events = events;
  }

  join(waiter: Waiter): void {
    this.#waiters.add(waiter);
    waiter.onReject = () => {
      this.#waiters.delete(waiter);
      if (waiter === this.#front) this.#wake?.();
    };
    waiter.onDeadline = () => this.#onDeadline(waiter);
    if (this.#waiters.size > 1 && waiter.maxWait !== Number.POSITIVE_INFINITY) this.#turnAwayIfHopeless(waiter);
    if (this.#front === undefined) void this.#serve();
  }

  /** Nobody is served any more: who is held goes together, and nobody moves up. */
  close(): void {
    this.#closed = true;
    this.#held.length = 0;
    this.#cancelDrain?.();
  }

  look(): void {
    this.#changed = true;
    this.#wake?.();
  }

  async #serve(): Promise<void> {
    for (const waiter of this.#waiters) {
      this.#front = waiter;
      while (this.#waiters.has(waiter)) {
        try {
          await this.#attempt(waiter);
        } catch (error) {
          waiter.reject(error);
        }
      }
    }
    this.#front = undefined;
    this.#leaveIfEmpty();
  }

  /** Asks once for the waiter in front; after a refusal, pauses until the moment that the refusal names. */
  async #attempt(waiter: Waiter): Promise<void> {
    this.#changed = false;
    const answer = this.#source.consume(this.#key, waiter.cost);
    if (isPromise(answer) && waiter.isOverdue && waiter.maxWait > 0) waiter.rejectHopeless();
    const decision = isPromise(answer) ? await answer : answer;
    if (decision.allowed) this.#grant(waiter, decision);
    else if (waiter.settled || this.#changed) return;
    else if (waiter.canWait(decision.retryAfter)) await this.#pause(decision.retryAfter);
    else waiter.rejectHopeless(decision.retryAfter);
  }

  #grant(waiter: Waiter, decision: Decision): void {
    this.#waiters.delete(waiter);
    if (waiter.settled) {
      this.#giveBack(waiter, decision);
      return;
    }
    waiter.onReject = () => {
      this.#closeGap(waiter);
      this.#giveBack(waiter, decision);
      this.#leaveIfEmpty();
    };
    if (decision.delay === 0) waiter.resolve(decision);
    else if (waiter.canWait(decision.delay)) this.#hold(waiter, decision);
    else waiter.rejectHopeless(decision.delay);
  }

  #hold(waiter: Waiter, decision: Decision): void {
    const due = this.#source.clock.now() + micros(decision.delay);
    waiter.cancelDeadline();
    this.#held.push({ waiter, decision, due: Math.max(due, this.#held.at(-1)?.due ?? 0) });
    if (this.#held.length === 1) this.#awaitDrain();
  }

  /** One timer for all who are held: for the one whom the drain reaches first. */
  #awaitDrain(): void {
    this.#cancelDrain?.();
    this.#cancelDrain = undefined;
    const first = this.#held[0];
    if (first === undefined || this.#closed) return;
    const left = Math.max(0, first.due - this.#source.clock.now());
    this.#cancelDrain = this.#source.clock.after(left / 1_000, () => this.#drain());
  }

  #drain(): void {
    const now = this.#source.clock.now();
    while (this.#held.length > 0 && this.#held[0]!.due <= now) {
      const { waiter, decision } = this.#held.shift()!;
      waiter.resolve(decision);
    }
    this.#awaitDrain();
    this.#leaveIfEmpty();
  }

  /** Lets those who are held behind a waiter that leaves go sooner by its share of the drain, so that none overtakes. */
  #closeGap(leaving: Waiter): void {
    if (this.#closed) return;
    const place = this.#held.findIndex(({ waiter }) => waiter === leaving);
    if (place < 0) return;
    this.#held.splice(place, 1);
    const drains = this.#source.policies.filter(({ algorithm }) => algorithm === 'leaky-bucket');
    const gap = Math.min(...drains.map(({ window, limit }) => Math.floor((leaving.cost * window) / limit)));
    for (let i = place; i < this.#held.length; i++) this.#held[i]!.due -= gap;
    if (place === 0) this.#awaitDrain();
  }

  #giveBack(waiter: Waiter, decision: Decision): void {
    try {
      const done = this.#source.release(this.#key, waiter.cost, decision.at);
      if (isPromise(done)) done.then(this.#events.unitsReturned, () => {});
      else this.#events.unitsReturned();
    } catch {
      // Units that a store fails to take back are lost, which grants nobody too much.
    }
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#source.clock.after(ms, () => this.#wake?.());
      this.#wake = () => {
        this.#wake = undefined;
        cancel();
        resolve();
      };
    });
  }

  #onDeadline(waiter: Waiter): void {
    const isAsking = waiter === this.#front && this.#wake === undefined;
    // Units may come at this very instant, and timers of one instant run in any order: a last question decides.
    if (waiter === this.#front && !isAsking) this.#wake?.();
    // With `maxWait: 0` there is but one question, and its answer takes what it takes.
    else if (!isAsking || waiter.maxWait > 0) waiter.rejectHopeless();
  }

  /** Rejects a waiter whose units, together with those of everyone ahead, cannot come in time. */
  #turnAwayIfHopeless(waiter: Waiter): void {
    // What the question under way asks for may be taken already: it would count twice.
    const inDoubt = this.#front !== undefined && this.#wake === undefined ? this.#front : undefined;
    let ahead = 0;
    for (const { cost } of this.#waiters) ahead += cost;
    ahead -= waiter.cost + (inDoubt && this.#waiters.has(inDoubt) ? inDoubt.cost : 0);

    const { clock, policies } = this.#source;
    const since = clock.now();
    const atOnce = Math.min(ahead + waiter.cost, ...policies.map(({ capacity }) => capacity));
    const judge = (decision: Decision) => {
      if (!this.#waiters.has(waiter)) return;
      const waits = policies.map((policy, i) =>
        leastWait(policy, decision.policies?.[i] ?? decision, atOnce, ahead, waiter.cost),
      );
      const wait = Math.max(...waits);
      if (!waiter.canWait(wait, since)) waiter.rejectHopeless(wait);
    };
    try {
      const answer = this.#source.peek(this.#key, atOnce);
      if (isPromise(answer)) answer.then(judge, (error) => waiter.reject(error));
      else judge(answer);
    } catch (error) {
      waiter.reject(error);
    }
  }

  #leaveIfEmpty(): void {
    if (this.#front === undefined && this.#waiters.size === 0 && this.#held.length === 0) this.#events.empty();
  }
}
