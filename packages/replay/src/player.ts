import { type Clock, createLimiter, type Decision, MemoryStore } from '@sluice/core';
import type { AccessLog } from './access-log.js';
import { stepAt, type Timeline, timelineOf } from './timeline.js';
import { policiesOf, type Trial } from './trial.js';

/** A Playback is what became of a log's requests in one trial. Times are seconds since the epoch. */
export interface Playback {
  readonly trial: Trial;
  /** Requests refused. */
  readonly refused: number;
  /** Requests that each policy of the trial would not have granted; one request can be among those of several. */
  readonly refusedBy: readonly number[];
  /** Requests that a leaky bucket would have held before it let them pass, and the longest time, in milliseconds. */
  readonly held: number;
  readonly longestDelay: number;
  /** Clients that were refused, the most often refused first. */
  readonly clients: readonly RefusedClient[];
  readonly timeline: Timeline;
  /** Requests refused in each step of the timeline. */
  readonly refusedAt: Uint32Array;
  /** The minute with the most refusals, the first of several. */
  readonly worst: { readonly start: number; readonly refused: number } | undefined;
}

/** A RefusedClient is a client with at least one refused request. */
export interface RefusedClient {
  readonly client: string;
  readonly requests: number;
  readonly refused: number;
  /** When it was refused first, and last. */
  readonly first: number;
  readonly last: number;
}

/** Decisions between two reports of progress. */
const stride = 4_096;

/** Plays a log through a new limiter on the log's own clock. `onProgress` hears how many requests have been played. */
export function play(log: AccessLog, trial: Trial, onProgress?: (done: number) => void): Playback {
  const { times, owners, clients } = log;
  let now = 0;
  // Nobody waits here, and the store forgets keys also as it adds others.
  const clock: Clock = { now: () => now * 1_000_000, after: () => () => {} };
  // Room for everybody: an eviction would be a budget given back.
  const maxKeys = Math.min(clients.length * trial.length, 2 ** 30);
  const store = new MemoryStore({ clock, maxKeys });
  const limiter = createLimiter({ policies: policiesOf(trial), clock, store });
  const tally = new Tally(log, trial.length);
  for (let i = 0; i < times.length; i++) {
    now = times[i]!;
    const decision = limiter.consumeSync(clients[owners[i]!]!);
    if (!decision.allowed) tally.refusal(now, owners[i]!, decision);
    else if (decision.delay > 0) tally.hold(decision.delay);
    if (onProgress && (i + 1) % stride === 0) onProgress(i + 1);
  }
  store.close();
  onProgress?.(times.length);
  return { trial, ...tally.result() };
}

/** Requests of a log in each step of a timeline. */
export function requestsAt(log: AccessLog, timeline: Timeline): Uint32Array {
  const counts = new Uint32Array(timeline.steps);
  for (const time of log.times) counts[stepAt(timeline, time)]!++;
  return counts;
}

/** A Tally counts refusals as they come, in order of time. */
class Tally {
  readonly #log: AccessLog;
  readonly #timeline: Timeline;
  readonly #refusedAt: Uint32Array;
  readonly #refusedBy: number[];
  readonly #counts: Uint32Array;
  readonly #first: Uint32Array;
  readonly #last: Uint32Array;
  #refused = 0;
  #held = 0;
  #longestDelay = 0;
  #minute = { start: -1, refused: 0 };
  #worst: { start: number; refused: number } | undefined;

  constructor(log: AccessLog, policies: number) {
    const { times, clients, offset } = log;
    this.#log = log;
    this.#timeline = timelineOf(times[0]!, times.at(-1)!, offset);
    this.#refusedAt = new Uint32Array(this.#timeline.steps);
    this.#refusedBy = new Array(policies).fill(0);
    this.#counts = new Uint32Array(clients.length);
    this.#first = new Uint32Array(clients.length);
    this.#last = new Uint32Array(clients.length);
  }

  refusal(now: number, owner: number, decision: Decision): void {
    this.#refused++;
    for (const [i, { allowed }] of (decision.policies ?? [decision]).entries()) if (!allowed) this.#refusedBy[i]!++;
    if (this.#counts[owner]!++ === 0) this.#first[owner] = now;
    this.#last[owner] = now;
    this.#refusedAt[stepAt(this.#timeline, now)]!++;
    const start = now - (now % 60);
    if (start !== this.#minute.start) this.#minute = { start, refused: 0 };
    this.#minute.refused++;
    if (this.#minute.refused > (this.#worst?.refused ?? 0)) this.#worst = { ...this.#minute };
  }

  hold(delay: number): void {
    this.#held++;
    if (delay > this.#longestDelay) this.#longestDelay = delay;
  }

  result(): Omit<Playback, 'trial'> {
    return {
      refused: this.#refused,
      refusedBy: this.#refusedBy,
      held: this.#held,
      longestDelay: this.#longestDelay,
      clients: this.#refusedClients(),
      timeline: this.#timeline,
      refusedAt: this.#refusedAt,
      worst: this.#worst,
    };
  }

  #refusedClients(): RefusedClient[] {
    const { owners, clients } = this.#log;
    const requests = new Uint32Array(clients.length);
    for (const owner of owners) requests[owner]!++;
    const refused: RefusedClient[] = [];
    for (const [i, client] of clients.entries()) {
      if (this.#counts[i] === 0) continue;
      refused.push({
        client,
        requests: requests[i]!,
        refused: this.#counts[i]!,
        first: this.#first[i]!,
        last: this.#last[i]!,
      });
    }
    return refused.sort((a, b) => b.refused - a.refused || b.requests - a.requests);
  }
}
