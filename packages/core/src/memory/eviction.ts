import { algorithmOf } from '../algorithms/index.js';
import { micros } from '../duration.js';
import type { CompiledPolicy } from '../policy.js';
import { EMPTY, type Mark, OPEN, REFUSED, ROW, type Shard } from './shard.js';
import type { Table } from './table.js';

/** Candidates among which the key closest to fresh is chosen. */
const sample = 8;
/** Shards with fresh keys that one eviction sweeps at most, so that it stays short. */
const sweepsPerEviction = 4;

/** An Evictor makes room in a full table. It never forgets a key that is being refused before one that is not. */
export class Evictor {
  readonly #table: Table;
  readonly #policies: readonly CompiledPolicy[];
  #hand = 0;
  /** Keys forgotten that were not fresh. */
  evictions = 0;

  /** `policies` are those whose numbers the table's owners are. */
  constructor(table: Table, policies: readonly CompiledPolicy[]) {
    this.#table = table;
    this.#policies = policies;
  }

  makeRoom(now: number): void {
    if (this.#sweepFresh(now)) return;
    const open = this.#nextShard((shard) => shard.open > 0) ?? this.#reopened(now);
    if (open) this.#evict(open, OPEN);
    else this.#evict(this.#nextShard((shard) => shard.count > 0)!, REFUSED);
  }

  #sweepFresh(now: number): boolean {
    for (let i = 0; i < sweepsPerEviction; i++) {
      const shard = this.#nextShard(({ freshFrom }) => freshFrom <= now);
      if (shard === undefined) return false;
      if (this.#table.sweep(shard, now) > 0) return true;
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
    for (let slot = shard.marks.indexOf(REFUSED); slot >= 0; slot = shard.marks.indexOf(REFUSED, slot + 1)) {
      const policy = this.#policies[shard.owners[slot]!]!;
      const { cells } = algorithmOf(policy.algorithm);
      const state = cells ? cells.read(shard.cells, ROW * slot + 1) : shard.object(slot);
      const { decision } = algorithmOf(policy.algorithm).decide(policy, state, 1, now, false);
      if (decision.allowed) shard.mark(slot, OPEN);
      else shard.openFrom = Math.min(shard.openFrom, now + micros(decision.retryAfter));
    }
  }

  /** The next shard around the hand that passes, so that every shard is charged in turn. */
  #nextShard(passes: (shard: Shard) => boolean): Shard | undefined {
    const { shards } = this.#table;
    for (let i = 1; i <= shards.length; i++) {
      const shard = shards[(this.#hand + i) % shards.length]!;
      if (!passes(shard)) continue;
      this.#hand = shard.position;
      return shard;
    }
    return undefined;
  }

  #evict(shard: Shard, mark: Mark): void {
    let victim = -1;
    let slot = this.#hand % shard.capacity;
    for (let i = 0; i < sample; i++) {
      slot = shard.marks.indexOf(mark, slot + 1);
      if (slot < 0) slot = shard.marks.indexOf(mark);
      if (victim < 0 || shard.cells[ROW * slot]! < shard.cells[ROW * victim]!) victim = slot;
    }
    if (shard.marks[victim] === EMPTY) return;
    this.#table.remove(shard, victim);
    this.evictions++;
  }
}
