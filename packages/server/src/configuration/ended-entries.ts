import type { Clock, Logger } from '@sluice/core';
import { messageOf } from '@sluice/core/toolkit';
import type { ConfigurationStore } from './configuration.js';
import type { EndedEntry } from './expiry.js';

/** Milliseconds for which an entry that has ended can still be looked at, and renewed as what it is. */
const keptFor = 3_600_000;
/** Entries that are deleted in a row, milliseconds between two such rows, and after one that has failed. */
const atOnce = 100;
const pace = 10_000;
const patience = 60_000;

export interface EndedEntriesOptions {
  readonly store: ConfigurationStore;
  readonly clock: Clock;
  readonly logger: Logger | undefined;
  /** Called when some were deleted, or were found to be so already. */
  readonly onDeleted: () => Promise<void>;
}

/**
 * EndedEntries are the entries of lists that have ended, of which a store is rid an hour later. Every instance deletes
 * what it finds, and stops where another one has been faster.
 *
 * Each deletion is a write like any other, by `expiry`, with an entry of the audit log of its own. It is one at most for
 * each time that somebody has written the entry, so that the log tells half as far back at the worst, and everything that
 * has ever changed in the store is in it, under a version of its own.
 */
export class EndedEntries {
  readonly #options: EndedEntriesOptions;
  #ended: readonly EndedEntry[] = [];
  /** In milliseconds since the epoch: not before then, however often others come. */
  #notBefore = 0;
  #isFailing = false;
  #isClosed = false;
  #running: Promise<void> | undefined;
  #cancel = () => {};

  constructor(options: EndedEntriesOptions) {
    this.#options = options;
  }

  /** These are all that have ended by now. */
  set(ended: readonly EndedEntry[]): void {
    this.#ended = ended;
    this.#schedule();
  }

  /** Resolves when nothing is being deleted any more. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#cancel();
    await this.#running;
  }

  #schedule(): void {
    this.#cancel();
    if (this.#isClosed || this.#running !== undefined || this.#ended.length === 0) return;
    const first = this.#ended.reduce((least, { end }) => Math.min(least, end), Number.POSITIVE_INFINITY);
    const { clock } = this.#options;
    const ms = Math.max(first + keptFor, this.#notBefore) - this.#now();
    this.#cancel = clock.after(Math.max(0, ms), () => this.#delete(), { background: true });
  }

  #delete(): void {
    this.#running = this.#deleteSome().finally(() => {
      this.#running = undefined;
      this.#schedule();
    });
  }

  async #deleteSome(): Promise<void> {
    const { store, logger, onDeleted } = this.#options;
    const due = this.#now() - keptFor;
    const some = this.#ended.filter(({ end }) => end <= due).slice(0, atOnce);
    let wait = pace;
    try {
      for (const { kind, id, version } of some) {
        if (this.#isClosed) return;
        const { outcome } = await store.write({ kind, id, value: null }, 'expiry', [version]);
        if (outcome === 'conflict') break;
      }
      this.#isFailing = false;
    } catch (error) {
      wait = patience;
      const told = `Entries of lists that have ended, and are not in force, could not be deleted: ${messageOf(error)}`;
      if (!this.#isFailing) logger?.warn(told);
      this.#isFailing = true;
    }
    this.#notBefore = this.#now() + wait;
    await onDeleted();
  }

  #now(): number {
    return Math.floor(this.#options.clock.now() / 1_000);
  }
}
