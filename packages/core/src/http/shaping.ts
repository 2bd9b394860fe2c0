import type { Clock } from '../clock.js';
import type { Decision } from '../decision.js';
import { isClosed } from './closing.js';
import { Ledger } from './ledger.js';
import type { ResponseLike } from './reader.js';

/** A refusal, where the decision was to hold a request for longer than `maxDelay`: until the queue is short enough. */
export function impatient(granted: Decision, maxDelay: number): Decision {
  const { delay } = granted;
  if (delay <= maxDelay) return granted;
  return { ...granted, allowed: false, remaining: 0, resetAfter: delay, retryAfter: delay - maxDelay, delay: 0 };
}

/**
 * Holds a request until the drain reaches it, and then resolves with what `pass` returns; a client that leaves meanwhile
 * has its units given back, and `gone` is the answer.
 */
export function hold<T>(
  clock: Clock,
  response: ResponseLike,
  ledger: Ledger,
  delay: number,
  pass: () => T | PromiseLike<T>,
  gone: T,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const leave = () => {
      cancel();
      Ledger.giveBack(ledger, 'left');
      resolve(gone);
    };
    const cancel = clock.after(delay, () => {
      response.removeListener('close', leave);
      try {
        resolve(pass());
      } catch (error) {
        reject(error);
      }
    });
    if (isClosed(response)) leave();
    else response.once('close', leave);
  });
}
