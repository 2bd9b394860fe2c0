import { Chain, type Link } from '../chain.js';
import type { Clock } from '../clock.js';
import { type Duration, micros, parseDuration } from '../duration.js';
import { SluiceError } from '../errors.js';
import { afterPollPhase } from './poll-phase.js';

const longestDeadline = { ms: 60_000, name: 'a minute' };

/** Calls that fall due together are given up so many at a time, so that the event loop is never held up by them all. */
const batch = 1_024;

/**
 * Reads how long a call may take, in milliseconds.
 * @throws SluiceError `INVALID_WINDOW` for anything but a duration of a minute at the most.
 */
export function parseDeadline(deadline: Duration, where: string): number {
  return parseDuration(deadline, `${where}: 'deadline'`, longestDeadline);
}

/** A TimedCall is told when its time is up, unless it has ended before. It stands in the list of its TimeLimit itself. */
export abstract class TimedCall implements Link<TimedCall> {
  /** Microseconds since the epoch. */
  due = 0;
  isTimed = false;
  before: TimedCall | undefined = undefined;
  behind: TimedCall | undefined = undefined;

  /** What lies in the sockets has been read by then: it may have ended since its time was up. */
  abstract giveUp(error: SluiceError): void;
}

/**
 * A TimeLimit is kept by every call that begins under it, whether what was called answers or not. It has one timer, which
 * is not set anew for each call: it fires when the first call that it was set for is due, and is then set for the next.
 */
export class TimeLimit {
  readonly #ms: number;
  readonly #clock: Clock;
  /** Calls under way, the first to fall due first. */
  readonly #calls = new Chain<TimedCall>();
  #isSet = false;
  /** Calls whose time is up, and that are given up when what lies in the sockets has been read. */
  #overdue: TimedCall[] = [];

  constructor(ms: number, clock: Clock) {
    this.#ms = ms;
    this.#clock = clock;
  }

  /** The call begins now. */
  begin(call: TimedCall): void {
    call.due = this.#clock.now() + micros(this.#ms);
    call.isTimed = true;
    this.#calls.append(call);
    if (!this.#isSet) this.#set(call);
  }

  /** The call has ended. */
  end(call: TimedCall): void {
    if (!call.isTimed) return;
    call.isTimed = false;
    this.#calls.remove(call);
  }

  /** Calls `run` when the time of a call that began now would be up. */
  afterwards(run: () => void): void {
    this.begin(new Afterwards(run));
  }

  #set(first: TimedCall): void {
    this.#isSet = true;
    const now = this.#clock.now();
    const left = this.#isDue(first, now) ? 0 : (first.due - now) / 1_000;
    this.#clock.after(left, () => this.#meet(), { background: true });
  }

  #meet(): void {
    this.#isSet = false;
    const now = this.#clock.now();
    const isFirst = this.#overdue.length === 0;
    const calls = this.#calls;
    for (let left = batch; left > 0 && calls.first !== undefined && this.#isDue(calls.first, now); left--) {
      this.#overdue.push(calls.first);
      this.end(calls.first);
    }
    if (calls.first !== undefined) this.#set(calls.first);
    // One turn of the event loop and one error serve all calls that fall due together.
    if (isFirst && this.#overdue.length > 0) afterPollPhase(() => this.#giveUp());
  }

  /** No call has longer than all have, unless the clock was set back: then those behind it would wait for it, too. */
  #isDue({ due }: TimedCall, now: number): boolean {
    return due <= now || due - now > micros(this.#ms);
  }

  #giveUp(): void {
    const calls = this.#overdue;
    this.#overdue = [];
    const error = timeout(this.#ms);
    for (const call of calls) call.giveUp(error);
  }
}

class Afterwards extends TimedCall {
  readonly #run: () => void;

  constructor(run: () => void) {
    super();
    this.#run = run;
  }

  giveUp(): void {
    this.#run();
  }
}

function timeout(ms: number): SluiceError {
  return new SluiceError(
    'STORE_TIMEOUT',
    `The store has not answered within the deadline of ${ms} ms. If it is well but far away, raise 'deadline'; if not, ` +
      'look at its load, its slow commands and the network in between.',
  );
}
