import { type Clock, type Logger, systemClock } from '@sluice/core';
import { messageOf } from '@sluice/core/toolkit';
import type { Analytics, CountedDecision, Hitter, Series, SeriesQuery, TopQuery } from './analytics.js';
import { History } from './history.js';
import { decodeHistory, encodeHistory } from './history-file.js';
import { Recorder } from './recorder.js';
import { intervalsOf, SeriesBuilder, unitOf } from './series.js';
import { merge, mostFrequent } from './sketch.js';

/** Milliseconds between two times that the file is written. */
const interval = 60_000;

/** A file that is read and written as a whole: once it is written, or not at all. */
export interface WholeFile {
  /** Where it is, for messages. */
  readonly path: string;
  /** Resolves to `undefined` where there is none. */
  read(): Promise<Uint8Array | undefined>;
  save(chunks: Iterable<Uint8Array>): Promise<void>;
}

export interface FileAnalyticsOptions {
  readonly file: WholeFile;
  readonly logger: Logger;
  readonly clock?: Clock;
}

/**
 * FileAnalytics are those of a service that is a single process: kept in memory, and written to a file every minute in
 * which anything was counted, and when they are flushed or closed. A process that is killed loses what it has counted
 * since.
 *
 * The heavy hitters are kept by the minute: the window of `top` reaches back to the beginning of the minute in which it
 * begins.
 */
export class FileAnalytics implements Analytics {
  readonly #file: WholeFile;
  readonly #logger: Logger;
  readonly #clock: Clock;
  readonly #history: History;
  readonly #recorder: Recorder;
  #hasChanged = false;
  #cancelTimer: (() => void) | undefined;
  /** The writing of the file that is under way, or the latest. */
  #saving: Promise<void> = Promise.resolve();
  #isClosed = false;

  private constructor({ file, logger, clock = systemClock }: FileAnalyticsOptions, history: History) {
    this.#file = file;
    this.#logger = logger;
    this.#clock = clock;
    this.#history = history;
    this.#recorder = new Recorder(clock, ({ minute, counts, sketches }) => {
      history.addMinute(minute, counts);
      history.addSlice(minute, 'requests', sketches.requests.summary());
      history.addSlice(minute, 'refused', sketches.refused.summary());
      history.forget(Math.floor(this.#now / interval));
    });
    history.forget(Math.floor(this.#now / interval));
    this.#arm();
  }

  /** @throws SluiceError `UNUSABLE_STATE` for a file that is damaged, which is left as it is. Errors of the file. */
  static async open(options: FileAnalyticsOptions): Promise<FileAnalytics> {
    const bytes = await options.file.read();
    const history = bytes === undefined ? new History() : decodeHistory(bytes, options.file.path);
    return new FileAnalytics(options, history);
  }

  count(decision: CountedDecision): void {
    this.#recorder.count(decision);
    this.#hasChanged = true;
  }

  async series(query: SeriesQuery): Promise<readonly Series[]> {
    const builder = new SeriesBuilder(query);
    const { minute, counts } = this.#recorder.current();
    const unit = unitOf(query, this.#now);
    const current = unit.name === 'minute' ? minute : Math.floor(minute / 60);
    for (const at of intervalsOf(query, unit, this.#now)) {
      const frame = this.#history.frame(unit.name, at);
      if (frame !== undefined) builder.add(at * unit.length, frame);
      if (at === current) builder.add(at * unit.length, counts);
    }
    return builder.series();
  }

  async top({ by, n, window }: TopQuery): Promise<readonly Hitter[]> {
    const { sketches } = this.#recorder.current();
    const past = this.#history.summaries(by, Math.floor((this.#now - window) / interval));
    return mostFrequent(merge([...past, sketches[by].summary()]), n);
  }

  /** Writes the file. Errors of the file are passed on; what was counted is kept, and is written with the next attempt. */
  flush(): Promise<void> {
    this.#saving = this.#saving.then(noop, noop).then(() => this.#save());
    return this.#saving;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#cancelTimer?.();
    await this.flush();
  }

  /** Milliseconds. */
  get #now(): number {
    return this.#clock.now() / 1_000;
  }

  #arm(): void {
    this.#cancelTimer = this.#clock.after(interval, () => void this.#onTimer(), { background: true });
  }

  async #onTimer(): Promise<void> {
    try {
      await this.flush();
    } catch (error) {
      this.#logger.warn(`Analytics are kept in memory, and written again in a minute: ${messageOf(error)}`);
    }
    if (!this.#isClosed) this.#arm();
  }

  async #save(): Promise<void> {
    if (!this.#hasChanged) return;
    const current = this.#recorder.current();
    this.#hasChanged = false;
    try {
      await this.#file.save(encodeHistory(this.#history, current));
    } catch (error) {
      this.#hasChanged = true;
      throw error;
    }
  }
}

function noop(): void {}
