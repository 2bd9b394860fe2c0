import type { Clock } from './clock.js';
import { micros } from './duration.js';

/** Deadlines that fall due together are met so many at a time, so that the event loop is never held up by them all. */
const batch = 1_024;

interface Deadline {
  /** Microseconds since the epoch. */
  readonly due: number;
  readonly run: () => void;
}

/** What is to happen after the same time, the first to fall due first, with one timer. */
interface Queue {
  readonly deadlines: Set<Deadline>;
  /** Set from the first deadline on until the last one is gone. */
  cancelTimer: (() => void) | undefined;
}

/**
 * Deadlines runs things later, most of which are called off before, at the cost of one timer for all of the same
 * duration. The timers do not keep the process alive, and there are none while nothing is due.
 */
export class Deadlines {
  readonly #clock: Clock;
  readonly #queues = new Map<number, Queue>();
  #closed = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Calls `run` once, `ms` milliseconds from now at the earliest. The returned function calls it off. */
  after(ms: number, run: () => void): () => void {
    if (this.#closed) return () => {};
    const deadline = { due: this.#clock.now() + micros(ms), run };
    let queue = this.#queues.get(ms);
    if (queue === undefined) {
      queue = { deadlines: new Set(), cancelTimer: undefined };
      this.#queues.set(ms, queue);
    }
    queue.deadlines.add(deadline);
    if (queue.cancelTimer === undefined) this.#arm(ms, queue);
    return () => this.#remove(ms, queue, deadline);
  }

  /** Calls everything off, also what is still to come. */
  close(): void {
    this.#closed = true;
    for (const queue of this.#queues.values()) {
      queue.cancelTimer?.();
      queue.deadlines.clear();
    }
    this.#queues.clear();
  }

  /** A timer set for a deadline that is called off fires all the same, and is then set for the next one. */
  #arm(ms: number, queue: Queue): void {
    const [first] = queue.deadlines;
    const left = Math.max(0, first!.due - this.#clock.now()) / 1_000;
    queue.cancelTimer = this.#clock.after(left, () => this.#meet(ms, queue), { background: true });
  }

  #meet(ms: number, queue: Queue): void {
    const now = this.#clock.now();
    let left = batch;
    for (const deadline of queue.deadlines) {
      if (deadline.due > now || left-- === 0) break;
      queue.deadlines.delete(deadline);
      deadline.run();
    }
    if (queue.deadlines.size > 0) this.#arm(ms, queue);
    else this.#drop(ms, queue);
  }

  #remove(ms: number, queue: Queue, deadline: Deadline): void {
    if (!queue.deadlines.delete(deadline) || queue.deadlines.size > 0) return;
    queue.cancelTimer?.();
    this.#drop(ms, queue);
  }

  #drop(ms: number, queue: Queue): void {
    if (this.#queues.get(ms) === queue) this.#queues.delete(ms);
  }
}
