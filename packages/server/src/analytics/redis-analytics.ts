import { randomBytes } from 'node:crypto';
import { type Clock, type Logger, SluiceError, systemClock } from '@sluice/core';
import { messageOf } from '@sluice/core/toolkit';
import type { Cluster, Redis } from 'ioredis';
import { before } from '../bounds.js';
import { BoundedCalls } from '../redis/bounded-calls.js';
import type { Analytics, CountedDecision, Hitter, Series, SeriesQuery, TopQuery } from './analytics.js';
import { handOver } from './hand-over-script.js';
import { slicesKept } from './history.js';
import { Outbox, type Parcel } from './outbox.js';
import { Recorder } from './recorder.js';
import { AnalyticsKeys } from './redis-keys.js';
import { ask, RedisReader } from './redis-reader.js';
import { hoursKept, intervalsOf, minutesKept, SeriesBuilder, unitOf } from './series.js';
import { merge, mostFrequent } from './sketch.js';
import { dimensions, places } from './tally.js';

/** Milliseconds between a count and its hand-over, at the most. */
const interval = 500;
/** Milliseconds that Redis may be silent, and that a query may take in all. */
const silenceLimit = 1_000;
const queryLimit = 10_000;

/** Seconds. */
const minute = 60;
const hour = 60 * minute;
/** As long as a parcel could still be handed over again. */
const numberKept = 31 * 24 * hour;

export interface RedisAnalyticsOptions {
  readonly client: Redis | Cluster;
  /** What all keys start with. */
  readonly prefix: string;
  readonly logger: Logger;
  /** Makes this process' keys easier to recognise; a random part makes them unique. @default 'sluice' */
  readonly instance?: string;
  readonly clock?: Clock;
}

/**
 * RedisAnalytics add up what all instances of a service count. Each counts in memory and hands over what it has counted
 * after half a second: by minutes of its own clock, exactly once, also where a reply was lost. While Redis cannot be
 * reached, up to a day of minutes waits in memory, and is handed over afterwards. A process that is killed loses what it
 * has not handed over.
 *
 * Each hash in Redis has room for as many names as two instances tell apart at the most; what is beyond is `(other)`.
 * The heavy hitters are kept by the minute: the window of `top` reaches back to the beginning of the minute in which it
 * begins. A query throws a SluiceError `STORE_UNAVAILABLE` where Redis is not connected, or is silent for a second; in
 * all it takes ten seconds at the most.
 */
export class RedisAnalytics implements Analytics {
  readonly #calls: BoundedCalls;
  readonly #logger: Logger;
  readonly #clock: Clock;
  readonly #keys: AnalyticsKeys;
  readonly #reader: RedisReader;
  readonly #process: string;
  readonly #outbox = new Outbox();
  readonly #recorder: Recorder;
  #cancelTimer: (() => void) | undefined;
  /** The hand-over that is under way, or the latest; it never rejects. */
  #underWay: Promise<void> = Promise.resolve();
  /** The hand-over that begins when that is over. */
  #queued: Promise<void> | undefined;
  #isFailing = false;
  #lostBefore = 0;
  #isClosed = false;

  constructor({ client, prefix, logger, instance = 'sluice', clock = systemClock }: RedisAnalyticsOptions) {
    this.#calls = new BoundedCalls(client, clock);
    this.#logger = logger;
    this.#clock = clock;
    this.#keys = new AnalyticsKeys(prefix);
    this.#reader = new RedisReader(this.#keys, (hashes) => {
      return this.#calls.ask(this.#calls.in(silenceLimit), () => ask(client, hashes));
    });
    // Parcels are numbered from 1 on by each process, also by the next one of the same name.
    this.#process = `${instance}-${randomBytes(9).toString('base64url')}`;
    this.#recorder = new Recorder(clock, (ended) => this.#outbox.put(ended));
  }

  count(decision: CountedDecision): void {
    this.#recorder.count(decision);
    if (this.#cancelTimer === undefined) this.#arm();
  }

  series(query: SeriesQuery): Promise<readonly Series[]> {
    return this.#read('read the analytics', async () => {
      const builder = new SeriesBuilder(query);
      const unit = unitOf(query, this.#now);
      const intervals = intervalsOf(query, unit, this.#now);
      await this.#reader.counts(unit.name, intervals, query.by, (at, name, tally) => {
        builder.addTally(at * unit.length, name, tally);
      });
      return builder.series();
    });
  }

  top({ by, n, window }: TopQuery): Promise<readonly Hitter[]> {
    return this.#read('read the heavy hitters', async () => {
      const now = Math.floor(this.#now / 60_000);
      const first = Math.max(Math.floor((this.#now - window) / 60_000), now - slicesKept + 1);
      const minutes = Array.from({ length: now - first + 1 }, (_, i) => first + i);
      return mostFrequent(merge(await this.#reader.summaries(minutes, by)), n);
    });
  }

  /** @throws SluiceError `STORE_UNAVAILABLE` when Redis does not take it. It is kept and handed over later. */
  flush(): Promise<void> {
    if (this.#queued !== undefined) return this.#queued;
    const run = this.#underWay.then(() => {
      this.#queued = undefined;
      return this.#run();
    });
    this.#queued = run;
    this.#underWay = run.then(noop, noop);
    return run;
  }

  /** Hands over what is left. @throws SluiceError `STORE_UNAVAILABLE` when Redis does not take it: it is lost then. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#cancelTimer?.();
    await this.flush();
  }

  /** Milliseconds. */
  get #now(): number {
    return this.#clock.now() / 1_000;
  }

  /** A query counts what this process has counted so far. Where that cannot be handed over, it is told what is there. */
  async #read<T>(what: string, read: () => Promise<T>): Promise<T> {
    const handedOver = this.flush().catch(noop);
    try {
      return await before(this.#clock, this.#calls.in(queryLimit), 'Redis', handedOver.then(read));
    } catch (error) {
      throw unavailable(what, error);
    }
  }

  #arm(): void {
    if (this.#isClosed) return;
    this.#cancelTimer = this.#clock.after(interval, () => void this.#onTimer(), { background: true });
  }

  async #onTimer(): Promise<void> {
    await this.flush().catch(noop);
    this.#cancelTimer = undefined;
    if (!this.#recorder.current().counts.isEmpty || !this.#outbox.isEmpty) this.#arm();
  }

  /** Hands over what has been counted before; not what is counted meanwhile, or it might never end. */
  async #run(): Promise<void> {
    let isPacked = false;
    for (;;) {
      const current = this.#recorder.current();
      let parcel = this.#outbox.next();
      if (parcel === undefined && !isPacked) {
        this.#outbox.pack(current);
        isPacked = true;
        parcel = this.#outbox.next();
      }
      if (parcel === undefined) return;
      await this.#handOver(parcel);
    }
  }

  async #handOver(parcel: Parcel): Promise<void> {
    const until = this.#calls.in(silenceLimit);
    try {
      await this.#calls.run(until, handOver, this.#keysOf(parcel), this.#argumentsOf(parcel));
    } catch (error) {
      if (isUnusable(error)) {
        this.#outbox.shift();
        this.#logger.warn(
          `Some analytics are lost, since Redis keeps something else under their keys: ${messageOf(error)}`,
        );
        return;
      }
      const failure = unavailable('take over the analytics', error);
      this.#tellFailure(failure);
      throw failure;
    }
    this.#outbox.shift();
    this.#tellSuccess();
  }

  #keysOf({ minute }: Parcel): readonly string[] {
    return [
      this.#keys.handedOver(this.#process),
      ...dimensions.map((by) => this.#keys.counts('minute', minute, by)),
      ...dimensions.map((by) => this.#keys.counts('hour', Math.floor(minute / 60), by)),
      this.#keys.slice(minute, 'requests'),
      this.#keys.slice(minute, 'refused'),
    ];
  }

  #argumentsOf({ number, minute: at, delta, summaries }: Parcel): readonly (string | number)[] {
    const age = Math.floor(this.#now / 1_000) - at * minute;
    // A minute longer than it is asked for, and so long at least that this is no deletion.
    const secondsLeft = (kept: number) => Math.max(kept - age, 0) + minute;
    return [
      number,
      dimensions.length,
      numberKept,
      secondsLeft(minutesKept * minute),
      secondsLeft(hoursKept * hour),
      secondsLeft(slicesKept * minute),
      this.#process,
      ...dimensions.flatMap((by) => [2 * places[by], delta[by].length / 2, ...delta[by]]),
      summaries.requests ?? '',
      summaries.refused ?? '',
    ];
  }

  #tellFailure(error: SluiceError): void {
    if (this.#isFailing) return;
    this.#isFailing = true;
    this.#logger.warn(`Analytics are kept in memory until Redis takes them: ${error.message}`);
  }

  #tellSuccess(): void {
    const lost = this.#outbox.lost - this.#lostBefore;
    this.#lostBefore = this.#outbox.lost;
    if (lost > 0) this.#logger.warn(`Analytics of ${lost} minutes are lost: Redis was away for more than a day.`);
    if (!this.#isFailing) return;
    this.#isFailing = false;
    this.#logger.info?.('Redis takes the analytics again.');
  }
}

/** Says what Redis was to do, unless the error says what it has instead. */
function unavailable(what: string, error: unknown): SluiceError {
  if (error instanceof SluiceError && !error.code.startsWith('STORE_')) return error;
  const remedy = error instanceof SluiceError ? '' : ' Try again when it answers; its log and its load may tell why.';
  const message = `Redis could not be asked to ${what}: ${messageOf(error)}${remedy}`;
  return new SluiceError('STORE_UNAVAILABLE', message, { cause: error });
}

/** A key holds something else. It would fail for ever. */
function isUnusable(error: unknown): boolean {
  return /WRONGTYPE|SLUICE_STATE/.test(messageOf(error));
}

function noop(): void {}
