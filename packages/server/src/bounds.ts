import { type Clock, SluiceError } from '@sluice/core';

/**
 * Settles as `answer` does, or rejects when it is `due`, in microseconds of the clock. What the process has received by
 * then still counts, also if it was too busy to look. `whose` begins the message.
 * @throws SluiceError `STORE_TIMEOUT` when the time is up.
 */
export function before<T>(clock: Clock, due: number, whose: string, answer: PromiseLike<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const left = Math.max(0, (due - clock.now()) / 1_000);
    const late = () => {
      const message = `${whose} has not answered within ${Math.round(left)} ms. Look at its load and its log.`;
      reject(new SluiceError('STORE_TIMEOUT', message));
    };
    // It keeps the process alive: whoever waits is answered, also where nothing else is left that could.
    const cancel = clock.after(left, () => setImmediate(late));
    answer.then(
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
