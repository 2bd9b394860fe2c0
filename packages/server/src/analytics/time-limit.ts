import { type Clock, SluiceError } from '@sluice/core';
import { messageOf } from '@sluice/core/toolkit';

/**
 * Answers as `ask` does, within so many milliseconds.
 * @throws SluiceError `STORE_UNAVAILABLE` that says what was to be done, when the time is up or `ask` fails otherwise
 * than by a SluiceError.
 */
export function within<T>(ms: number, clock: Clock, what: string, ask: () => Promise<T>): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const callOff = clock.after(ms, () => {
      // What lies in the socket already is read first: this process may have been late, and not Redis.
      setImmediate(() => reject(unavailable(what, `it has not answered within ${ms} ms`)));
    });
    ask().then(
      (answer) => {
        callOff();
        resolve(answer);
      },
      (error: unknown) => {
        callOff();
        reject(error instanceof SluiceError ? error : unavailable(what, messageOf(error), error));
      },
    );
  });
}

function unavailable(what: string, why: string, cause?: unknown): SluiceError {
  const message = `Redis could not be asked to ${what}: ${why}. Try again when it answers; its log and its load may tell why.`;
  return new SluiceError('STORE_UNAVAILABLE', message, cause === undefined ? undefined : { cause });
}
