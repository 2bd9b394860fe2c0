import { type Clock, type Logger, SluiceError, systemClock } from '@sluice/core';
import { messageOf } from '@sluice/core/toolkit';
import { pause } from '../bounds.js';
import { instantNow } from '../instants.js';
import { Problem } from '../problem.js';
import type {
  AuditEntry,
  Change,
  Configuration,
  ConfigurationStore,
  Expected,
  RecoverySource,
  Written,
} from './configuration.js';
import { EndedEntries } from './ended-entries.js';
import { inForce } from './expiry.js';
import { LostWrites } from './lost-writes.js';

/** Why the configuration in force may not be the latest. */
export type Staleness =
  /** The store does not answer. */
  | 'unreachable'
  /** What the store has is not to be read, or not complete. */
  | 'unusable'
  /** The store lacks what this process has seen of it: it has lost writes. */
  | 'lost'
  /** The latest version cannot be put in force. */
  | 'refused';

/** What a LiveConfiguration says of itself. */
export interface LiveStatus {
  /** The version in force. */
  readonly version: number;
  /** How often a configuration came into force, the first one included. */
  readonly reloads: number;
  /** How often looking, loading, or putting in force has failed. */
  readonly failures: number;
  /** `undefined` while all is well. */
  readonly stale:
    | {
        readonly why: Staleness;
        readonly message: string;
        /** RFC 3339. */
        readonly since: string;
      }
    | undefined;
}

export interface LiveConfigurationOptions {
  /** Puts a configuration in force; where it throws, the one before stays. */
  readonly apply: (configuration: Configuration) => void;
  readonly logger?: Logger;
  readonly clock?: Clock;
  /** Milliseconds between two looks at the version, from the end of one to the next. @default 400 */
  readonly pollEvery?: number;
  /** Milliseconds that a start waits for a store which does not answer. @default 10_000 */
  readonly patience?: number;
}

/**
 * A LiveConfiguration is the configuration by which this process goes, kept up to date with the store's.
 *
 * Rules that vanish would mean "unlimited", and nobody would notice. So what cannot be loaded, cannot be put in force, or
 * lacks what was in force does not replace it, and each is told of: in the log, and in `status`. A store that comes back
 * without the latest version has lost writes, be it a Redis that restarted empty or a replica that had not heard of the
 * last one. Which of the two states is wanted is for people to say, not for the instance that happens to notice: writes
 * are refused until the store has its data again, or `recover` says what goes on. Nor does a process start without having
 * loaded once.
 */
export class LiveConfiguration {
  readonly #store: ConfigurationStore;
  readonly #apply: (configuration: Configuration) => void;
  readonly #logger: Logger | undefined;
  readonly #clock: Clock;
  readonly #pollEvery: number;
  readonly #ended: EndedEntries;
  /** As it was loaded; what has ended since is in here. */
  #loaded!: Configuration;
  #current!: Configuration;
  #reloads = 0;
  #failures = 0;
  #stale: LiveStatus['stale'];
  /** A version that could not be put in force, which is not tried again, and why. */
  #refused: { readonly version: number; readonly message: string } | undefined;
  /** Entries that have ended could not be taken out of force. */
  #isOverdue = false;
  #running: Promise<void> | undefined;
  #next: Promise<void> | undefined;
  #isClosed = false;
  #cancelPoll = () => {};
  #cancelExpiry = () => {};
  #unsubscribe = () => {};

  private constructor(store: ConfigurationStore, options: LiveConfigurationOptions) {
    const { apply, logger, clock = systemClock, pollEvery = 400 } = options;
    this.#store = store;
    this.#apply = apply;
    this.#logger = logger;
    this.#clock = clock;
    this.#pollEvery = pollEvery;
    this.#ended = new EndedEntries({ store, clock, logger, onDeleted: () => this.refresh() });
  }

  /**
   * Loads the configuration, puts it in force and resolves then.
   * @throws SluiceError `STORE_UNAVAILABLE` for a store that does not answer for as long as the patience lasts. What the
   * store says of unusable data, and what `apply` throws, ends the start at once.
   */
  static async start(store: ConfigurationStore, options: LiveConfigurationOptions): Promise<LiveConfiguration> {
    const live = new LiveConfiguration(store, options);
    await live.#start(options.patience ?? 10_000);
    return live;
  }

  /** What is in force, without the entries of lists that have ended. */
  get current(): Configuration {
    return this.#current;
  }

  get status(): LiveStatus {
    return {
      version: this.#current.version,
      reloads: this.#reloads,
      failures: this.#failures,
      stale: this.#stale,
    };
  }

  /**
   * Writes through the store, and resolves when the change is in force in this process.
   * @throws Problem 503 as the store does, also while it lacks what is in force; and where the change was written and is
   * not in force here yet, which the detail says.
   */
  async write(change: Change, by: string, expected: Expected): Promise<Written> {
    const written = await this.#store.write(change, by, expected);
    if (written.outcome === 'conflict') return written;
    await this.#follow(written.entry);
    return written;
  }

  /**
   * Ends a loss of writes: what is in force here, or what the store has left, is the latest version from now on, for every
   * instance. Resolves when it is in force in this process.
   * @throws Problem 409 where nothing is lost, or what the store has left is not to be read; 503 as `write` does.
   */
  async recover(from: RecoverySource, by: string): Promise<AuditEntry> {
    const entry = await this.#store.recover(from, this.#current, by);
    this.#logger?.warn(
      `The configuration goes on from what was ${from === 'service' ? 'in force here' : 'left in the store'}, as version ` +
        `${entry.version}: ${by} has said so.`,
    );
    await this.#follow(entry);
    return entry;
  }

  /** Looks at the store once more, after all that has been written until now. Never rejects. */
  refresh(): Promise<void> {
    if (this.#isClosed) return Promise.resolve();
    if (this.#running === undefined) {
      const running = this.#look().finally(() => {
        this.#running = undefined;
      });
      this.#running = running;
      return running;
    }
    // The one under way may have looked already. All who ask meanwhile share the one behind it.
    this.#next ??= this.#running.then(() => {
      this.#next = undefined;
      return this.refresh();
    });
    return this.#next;
  }

  /** Stops following the store, which stays its owner's. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#unsubscribe();
    this.#cancelPoll();
    this.#cancelExpiry();
    await this.#ended.close();
    await this.#running;
  }

  async #follow({ version }: AuditEntry): Promise<void> {
    await this.refresh();
    if (this.#loaded.version >= version) return;
    const why = this.#stale?.message ?? 'The service is shutting down.';
    throw new Problem(503, 'Written, not in force', `Version ${version} was written, and is not in force here: ${why}`);
  }

  async #start(patience: number): Promise<void> {
    const end = this.#clock.now() + patience * 1_000;
    for (;;) {
      try {
        this.#putInForce(await this.#store.load());
        break;
      } catch (cause) {
        if (!(cause instanceof Problem)) throw cause;
        this.#failures++;
        if (this.#clock.now() >= end) {
          throw new SluiceError(
            'STORE_UNAVAILABLE',
            `The rules could not be loaded within ${patience} ms, and without them everybody would go unlimited: ` +
              `${cause.detail} Start Redis, or correct its address.`,
            { cause },
          );
        }
        await pause(this.#clock, Math.min(200, patience));
      }
    }
    this.#unsubscribe = this.#store.onChange(() => void this.refresh());
    this.#poll();
  }

  #poll(): void {
    if (this.#isClosed) return;
    this.#cancelPoll = this.#clock.after(this.#pollEvery, () => void this.refresh().then(() => this.#poll()), {
      background: true,
    });
  }

  async #look(): Promise<void> {
    try {
      const version = await this.#store.version();
      if (version > this.#loaded.version) {
        if (version === this.#refused?.version) this.#tell('refused', this.#refused.message);
        else await this.#reload();
      } else {
        this.#tellCurrent();
      }
    } catch (error) {
      if (error instanceof LostWrites) {
        this.#fail('lost', error.message);
        return;
      }
      const why = error instanceof SluiceError && error.code === 'UNUSABLE_STATE' ? 'unusable' : 'unreachable';
      this.#fail(why, `The configuration cannot be loaded: ${messageOf(error)}`);
    }
  }

  async #reload(): Promise<void> {
    const loaded = await this.#store.load();
    // Closed meanwhile: whoever owned this has taken down what `apply` works on.
    if (this.#isClosed) return;
    try {
      this.#putInForce(loaded);
    } catch (error) {
      const { version } = loaded;
      const message = `Version ${version} cannot be put in force: ${messageOf(error)}`;
      this.#refused = { version, message };
      this.#fail('refused', message);
      return;
    }
    this.#tellCurrent();
  }

  #putInForce(loaded: Configuration): void {
    const now = Math.floor(this.#clock.now() / 1_000);
    const { configuration, until, ended } = inForce(loaded, now);
    this.#apply(configuration);
    this.#loaded = loaded;
    this.#current = configuration;
    this.#refused = undefined;
    this.#isOverdue = false;
    this.#reloads++;
    this.#ended.set(ended);
    this.#cancelExpiry();
    if (until < Number.POSITIVE_INFINITY) {
      this.#cancelExpiry = this.#clock.after(until - now, () => this.#expire(), { background: true });
    }
  }

  #expire(): void {
    if (this.#isClosed) return;
    try {
      this.#putInForce(this.#loaded);
    } catch (error) {
      this.#isOverdue = true;
      this.#fail('refused', `Entries of lists that have ended are still in force: ${messageOf(error)}`);
      this.#cancelExpiry = this.#clock.after(1_000, () => this.#expire(), { background: true });
    }
  }

  #tellCurrent(): void {
    if (this.#stale === undefined || this.#isOverdue) return;
    this.#stale = undefined;
    this.#logger?.info?.(`The configuration is up to date again, at version ${this.#loaded.version}.`);
  }

  #fail(why: Staleness, message: string): void {
    this.#failures++;
    this.#tell(why, message);
  }

  /** What goes on failing in the same way is told of once. */
  #tell(why: Staleness, message: string): void {
    const stale = this.#stale;
    if (stale?.why === why && stale.message === message) return;
    const since = stale?.since ?? instantNow(this.#clock);
    this.#stale = { why, message, since };
    this.#logger?.warn(`${message} Version ${this.#loaded.version} stays in force.`);
  }
}
