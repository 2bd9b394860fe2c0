import { micros } from '../duration.js';
import type { Contents } from './contents.js';
import { type Mark, markAt, OPEN, REFUSED, ROW } from './row.js';
import type { Shard } from './shard.js';

/** Candidates among which the key closest to fresh is chosen. */
const sample = 8;
/** Shards with fresh keys that one eviction sweeps at most, so that it stays short. */
const sweepsPerEviction = 4;

/** An Evictor makes room in a full table. It never forgets a key that is being refused before one that is not. */
export class Evictor {
  #contents: Contents;
  #hand = 0;
  /** Keys forgotten that were not fresh. */
  evictions = 0;

  constructor(contents: Contents) {
    this.#contents = contents;
  }

  /** To be called when the contents are others. */
  reset(contents: Contents): void {
    this.#contents = contents;
    this.#hand = 0;
  }

  makeRoom(now: number): void {
    if (this.#sweepFresh(now)) return;
    const open = this.#nextShard((shard) => shard.open > 0) ?? this.#reopened(now);
    if (open) this.#evict(open, OPEN);
    else this.#evict(this.#nextShard((shard) => shard.count > 0)!, REFUSED);
  }

  #sweepFresh(now: number): boolean {
    const { table } = this.#contents;
    for (let i = 0; i < sweepsPerEviction && table.freshFrom <= now; i++) {
      const shard = this.#nextShard(({ freshFrom }) => freshFrom <= now);
      if (shard === undefined) table.updateFreshFrom();
      else if (table.sweep(shard, now) > 0) return true;
    }
    return false;
  }

  /** A shard in which a key that was refused has units again, if there is one anywhere. */
  #reopened(now: number): Shard | undefined {
    for (;;) {
      const shard = this.#nextShard(({ openFrom }) => openFrom <= now);
      if (shard === undefined) return undefined;
      this.#reopen(shard, now);
      if (shard.open > 0) return shard;
    }
  }

  #reopen(shard: Shard, now: number): void {
    shard.openFrom = Number.POSITIVE_INFINITY;
    const { table, owners } = this.#contents;
    const { words } = shard;
    for (let row = 0; row < words.length; row += ROW) {
      if (markAt(words, row) !== REFUSED) continue;
      const { policy, algorithm } = owners.at(table.ownerAt(shard, row));
      const { decision } = algorithm.decide(policy, table.read(shard, row), 1, now, false);
      if (decision.allowed) shard.mark(row, OPEN);
      else shard.openFrom = Math.min(shard.openFrom, now + micros(decision.retryAfter));
    }
  }

  /** The next shard around the hand that passes, so that every shard is charged in turn. */
  #nextShard(passes: (shard: Shard) => boolean): Shard | undefined {
    const { shards } = this.#contents.table;
    for (let i = 1; i <= shards.length; i++) {
      const shard = shards[(this.#hand + i) % shards.length]!;
      if (!passes(shard)) continue;
      this.#hand = shard.position;
      return shard;
    }
    return undefined;
  }

  #evict(shard: Shard, mark: Mark): void {
    const { table } = this.#contents;
    let victim = -1;
    let soonest = Number.POSITIVE_INFINITY;
    for (let i = 0; i < sample; i++) {
      const row = shard.nextMarked(mark, shard.hand);
      if (row < 0) return;
      shard.hand = (row + ROW) % shard.words.length;
      const freshAt = table.freshAt(shard, row);
      if (victim >= 0 && freshAt >= soonest) continue;
      victim = row;
      soonest = freshAt;
    }
    table.remove(shard, victim);
    this.evictions++;
  }
}
