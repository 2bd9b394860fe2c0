import type { Clock } from '../clock.js';
import type { Decision } from '../decision.js';
import { SluiceError } from '../errors.js';
import type { MaybePromise } from '../maybe-promise.js';
import type { CompiledPolicy } from '../policy.js';
import { Line } from './line.js';
import { Waiter } from './waiter.js';

export interface AcquireOptions {
  /** Units: an integer ≥ 0. @default 1 */
  cost?: number;
  /** Gives up waiting; units that come too late are given back. */
  signal?: AbortSignalLike;
  /** The longest wait in milliseconds; with 0, units are taken now or not at all. @default Infinity */
  maxWait?: number;
}

/** The part of an AbortSignal that is used. */
export interface AbortSignalLike {
  readonly aborted: boolean;
  readonly reason?: unknown;
  addEventListener(type: 'abort', listener: () => void): void;
  removeEventListener(type: 'abort', listener: () => void): void;
}

/** What a WaitingRoom needs of its limiter. */
export interface Source {
  readonly policies: readonly CompiledPolicy[];
  readonly clock: Clock;
  consume(key: string, cost: number): MaybePromise<Decision>;
  peek(key: string, cost: number): MaybePromise<Decision>;
  release(key: string, cost: number, at: number): MaybePromise<void>;
}

/** A WaitingRoom holds one line of waiters per key; a line exists only while somebody stands in it. */
export class WaitingRoom {
  readonly #source: Source;
  readonly #lines = new Map<string, Line>();
  readonly #waiters = new Set<Waiter>();

  constructor(source: Source) {
    this.#source = source;
  }

  /** How many keys are waited for. */
  get lines(): number {
    return this.#lines.size;
  }

  enter(key: string, cost: number, maxWait: number, signal: AbortSignalLike | undefined): Promise<Decision> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const tooSmall = this.#source.policies.find(({ capacity }) => cost > capacity || capacity === 0);
      if (tooSmall) {
        const { name, capacity } = tooSmall;
        return reject(
          new SluiceError(
            'NEVER_GRANTED',
            `A cost of ${cost} can never be granted: policy '${name}' holds at most ${capacity} units at once.`,
          ),
        );
      }
      const waiter = new Waiter(this.#source.clock, cost, maxWait, signal, {
        resolve,
        reject,
        settled: () => this.#waiters.delete(waiter),
      });
      this.#waiters.add(waiter);
      this.#line(key).join(waiter);
    });
  }

  /** Units of that key may have come back: whoever is first looks again. */
  look(key: string): void {
    this.#lines.get(key)?.look();
  }

  close(): void {
    const closed = new SluiceError('CLOSED', 'The limiter was closed while this call waited for units.');
    for (const line of this.#lines.values()) line.close();
    for (const waiter of [...this.#waiters]) waiter.reject(closed);
  }

  #line(key: string): Line {
    let line = this.#lines.get(key);
    if (line === undefined) {
      line = new Line(this.#source, key, {
        empty: () => this.#lines.delete(key),
        // Not the line's own look: by then, the key may have another line.
        unitsReturned: () => this.look(key),
      });
      this.#lines.set(key, line);
    }
    return line;
  }
}
