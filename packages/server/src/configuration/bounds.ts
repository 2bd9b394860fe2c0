import { type Clock, SluiceError } from '@sluice/core';

/**
 * Settles as `promise` does, or rejects when it is `due`, in microseconds of the clock. What the process has received by
 * then still counts, also if it was too busy to look.
 */
export function before<T>(clock: Clock, due: number, promise: PromiseLike<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const late = () => reject(new SluiceError('STORE_TIMEOUT', 'The call was not answered in time.'));
    const cancel = clock.after(Math.max(0, (due - clock.now()) / 1_000), () => setImmediate(late));
    promise.then(
      (value) => {
        cancel();
        resolve(value);
      },
      (error) => {
        cancel();
        reject(error);
      },
    );
  });
}

/** Resolves after `ms` milliseconds. */
export function pause(clock: Clock, ms: number): Promise<void> {
  return new Promise((resolve) => {
    clock.after(ms, resolve);
  });
}
