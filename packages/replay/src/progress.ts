import { SingleBar } from 'cli-progress';

/** A Progress shows how far a replay is: a bar on a terminal, and nothing elsewhere. */
export interface Progress {
  /** Bytes read of how many, where that is known. */
  reading(done: number, total: number | undefined): void;
  /** Requests played of how many. */
  playing(done: number, total: number): void;
  /** Removes the bar. */
  stop(): void;
}

const silent: Progress = { reading() {}, playing() {}, stop() {} };

/** A Progress on that stream. */
export function progressOn(stream: NodeJS.WriteStream): Progress {
  return stream.isTTY ? new Bar(stream) : silent;
}

class Bar implements Progress {
  readonly #bar: SingleBar;
  #phase = '';

  constructor(stream: NodeJS.WriteStream) {
    this.#bar = new SingleBar({
      stream,
      format: '{phase} [{bar}] {percentage}% {detail}',
      barCompleteChar: '█',
      barIncompleteChar: '░',
      barsize: 30,
      clearOnComplete: true,
      // A replay that is interrupted must leave nothing behind that would have to be switched on again.
      hideCursor: false,
      linewrap: true,
      gracefulExit: false,
    });
  }

  reading(done: number, total: number | undefined): void {
    const detail = `${(done / 1e6).toFixed(1)} MB`;
    // A pipe does not say how much will come.
    this.#show('reading', total === undefined ? 0 : done, total ?? 1, detail);
  }

  playing(done: number, total: number): void {
    this.#show('playing', done, total, `${done.toLocaleString('en-US')} requests`);
  }

  stop(): void {
    this.#bar.stop();
  }

  #show(phase: string, done: number, total: number, detail: string): void {
    if (phase !== this.#phase) {
      this.#bar.stop();
      this.#phase = phase;
      this.#bar.start(total, done, { phase, detail });
    } else {
      this.#bar.update(done, { phase, detail });
    }
  }
}
