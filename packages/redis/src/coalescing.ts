import { SluiceError } from '@sluice/core';
import { type Call, mostKeys } from './call.js';
import type { ScriptRunner } from './script-runner.js';

/** So many calls that one turn of the event loop brings are a batch of their own, and wait for no answer. */
const enough = 16;

/** Unless so many calls and batches are under way already. */
const most = 4;

/** What one script can reach together, and what of it is under way. */
interface Lane {
  readonly part: number;
  /** Calls and batches that were sent, and how many of them are answered: a connection answers in the order of sending. */
  sent: number;
  answered: number;
  /** The last of them whose script the server may not have: nothing is to come before it. */
  unsure: number;
  /** Microseconds: what was sent last is not waited for any longer. */
  until: number;
  waiting: Call[];
  /** Whether it is looked at when this turn ends. */
  isDue: boolean;
  /** Whether it is being sent what waits: calls whose time is up are answered at once. */
  isFlushing: boolean;
}

/**
 * Coalescing sends calls that come while another one is under way together, in one script, when that is answered; and
 * where one turn of the event loop brings many, when the turn ends, so that the server has work while this process reads
 * answers. Nothing waits for a timer, and what comes while nothing is under way goes out by itself at once. Calls that one
 * script can reach are carried out in the order in which they are made, and each is decided, fails and comes too late by
 * itself.
 */
export class Coalescing {
  readonly #runner: ScriptRunner;
  /** By the number of the part. Those on which nothing is under way are forgotten. */
  readonly #lanes = new Map<number, Lane>();
  readonly #due: Lane[] = [];
  readonly #endTurn = () => {
    for (const lane of this.#due.splice(0)) {
      lane.isDue = false;
      const { waiting, sent, answered, unsure } = lane;
      if (waiting.length > 0 && answered >= unsure) this.#flush(lane, most - (sent - answered));
    }
  };

  constructor(runner: ScriptRunner) {
    this.#runner = runner;
  }

  /** Sends the call, or has it wait for what is under way. */
  run(call: Call): void {
    const lane = this.#lanes.get(call.part);
    // Without a connection, the runner knows what is to become of it.
    if (lane === undefined || !this.#runner.isConnected) {
      this.#send(call.part, [call]);
      return;
    }
    lane.waiting.push(call);
    if (!this.#holds(lane, call)) this.#flush(lane);
    else if (!lane.isDue && lane.waiting.length >= enough) this.#note(lane);
  }

  /** To be called when the server may be another one: what has not been sent to the one before must not be sent to it. */
  abandon(): void {
    const error = new SluiceError(
      'STORE_UNAVAILABLE',
      'The Redis client has lost its connection, and has connected anew.',
    );
    for (const lane of this.#lanes.values()) for (const call of lane.waiting.splice(0)) call.reject(error);
  }

  /** Whether calls wait for what is under way: not where its answer is far away, or will never come. */
  #holds({ sent, answered, until }: Lane, { server }: Call): boolean {
    return answered < sent && this.#runner.now() < until && !this.#runner.isFar(server);
  }

  #note(lane: Lane): void {
    lane.isDue = true;
    if (this.#due.push(lane) === 1) process.nextTick(this.#endTurn);
  }

  /** Sends what waits, in so many scripts at the most. */
  #flush(lane: Lane, scripts = Number.POSITIVE_INFINITY): void {
    const { waiting, part } = lane;
    const batches: Call[][] = [];
    let from = 0;
    let keys = 0;
    for (let i = 0; i < waiting.length && batches.length < scripts; i++) {
      keys += waiting[i]!.keys.length;
      const next = waiting[i + 1]?.keys.length ?? mostKeys;
      if (keys + next <= mostKeys) continue;
      batches.push(waiting.slice(from, i + 1));
      from = i + 1;
      keys = 0;
    }
    lane.waiting = from === waiting.length ? [] : waiting.slice(from);
    lane.isFlushing = true;
    for (const calls of batches) this.#send(part, calls);
    lane.isFlushing = false;
    // Nothing that was sent will be answered to those that still wait.
    if (lane.waiting.length > 0 && lane.answered === lane.sent) this.#flush(lane);
  }

  #send(part: number, calls: readonly Call[]): void {
    // What must precede a call does not hold it up: the two go out one right behind the other.
    if (calls.length === 1 && calls[0]!.question.operation === 'lower') {
      this.#runner.send(calls, () => {});
      return;
    }
    let lane = this.#lanes.get(part);
    if (lane === undefined) {
      lane = { part, sent: 0, answered: 0, unsure: 0, until: 0, waiting: [], isDue: false, isFlushing: false };
      this.#lanes.set(part, lane);
    }
    const number = ++lane.sent;
    lane.until = calls.at(-1)!.until;
    const isSure = this.#runner.send(calls, () => this.#answered(part, lane, number));
    if (!isSure) lane.unsure = number;
  }

  #answered(part: number, lane: Lane, number: number): void {
    if (number > lane.answered) lane.answered = number;
    if (lane.waiting.length > 0) {
      if (lane.answered >= lane.unsure && !lane.isFlushing) this.#flush(lane);
    } else if (lane.answered === lane.sent && this.#lanes.get(part) === lane) this.#lanes.delete(part);
  }
}
