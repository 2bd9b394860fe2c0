/** What of a process is needed here. */
export interface Signalled {
  on(signal: 'SIGINT' | 'SIGTERM', listener: () => void): unknown;
  exit(code: number): unknown;
}

/** Milliseconds. A package manager that runs the command sends its own signal on when the terminal has sent it to both. */
const sameSignal = 300;

/** Resolves with the first SIGINT or SIGTERM; a second one ends the process at once, with 130. */
export function stopSignal(process: Signalled, now: () => number = () => performance.now()): Promise<void> {
  return new Promise((resolve) => {
    let first: number | undefined;
    const received = () => {
      if (first === undefined) {
        first = now();
        resolve();
      } else if (now() - first >= sameSignal) {
        process.exit(130);
      }
    };
    process.on('SIGINT', received);
    process.on('SIGTERM', received);
  });
}
