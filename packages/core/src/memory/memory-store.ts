import type { Algorithm, Told } from '../algorithms/algorithm.js';
import { algorithmOf } from '../algorithms/index.js';
import type { Charge, Refund } from '../charge.js';
import { type Clock, checkClock, systemClock } from '../clock.js';
import type { Decision } from '../decision.js';
import { micros } from '../duration.js';
import { SluiceError, show } from '../errors.js';
import { checkNames } from '../options.js';
import type { CompiledPolicy } from '../policy.js';
import type { Known, SyncStore } from '../store.js';
import { contentsOf, dumped } from './dump.js';
import { Evictor } from './eviction.js';
import { FrameReader } from './frames.js';
import { KeyHash } from './key-hash.js';
import { OPEN, REFUSED, ROW, type Shard } from './shard.js';
import { Sweeper } from './sweeper.js';
import { Table } from './table.js';

export interface MemoryStoreOptions {
  /** The most keys kept, counted per policy: an integer from 1 to 2^30. @default 1_000_000 */
  maxKeys?: number;
  /** @default systemClock */
  clock?: Clock;
}

/**
 * A MemoryStore keeps state in this process, and only while it differs from fresh.
 *
 * Keys are kept as 64-bit fingerprints under a secret of the store. Two keys with the same fingerprint would share a
 * budget, which can only refuse too much, never grant too much; with a million keys present the odds are 1 to 37
 * million that any two do, and nobody can search for such keys without the secret.
 */
export class MemoryStore implements SyncStore {
  readonly sync = true;
  readonly #maxKeys: number;
  readonly #clock: Clock;
  #hash = new KeyHash();
  readonly #table = new Table();
  /** Numbers the policies seen, by id; `#policies` has the latest policy of each number. */
  readonly #numbers = new Map<string, number>();
  readonly #policies: CompiledPolicy[] = [];
  readonly #evictor = new Evictor(this.#table, this.#policies);
  readonly #sweeper: Sweeper;
  #changes = 0;
  /** Where the last `#locate` found its key, or -1. */
  #slot = -1;

  constructor(options: MemoryStoreOptions = {}) {
    checkNames(options, ['maxKeys', 'clock'], 'MemoryStore');
    const { maxKeys = 1_000_000, clock = systemClock } = options;
    if (!Number.isInteger(maxKeys) || maxKeys < 1 || maxKeys > 2 ** 30) {
      throw new SluiceError(
        'INVALID_OPTION',
        `MemoryStore: 'maxKeys' must be an integer from 1 to ${2 ** 30}; got ${show(maxKeys)}.`,
      );
    }
    this.#maxKeys = maxKeys;
    this.#clock = checkClock(clock, 'MemoryStore');
    this.#sweeper = new Sweeper(this.#table, this.#clock);
  }

  /** Keys kept now, counted per policy. Keys that are fresh again are counted until the next sweep. */
  get size(): number {
    return this.#table.size;
  }

  /** Keys forgotten before they were fresh again, because the store was full. */
  get evictions(): number {
    return this.#evictor.evictions;
  }

  /** Grows whenever something is taken, given back or forgotten before it was fresh: if it has not, a dump says nothing new. */
  get changes(): number {
    return this.#changes;
  }

  consume(charges: readonly Charge[]): readonly Decision[] {
    const now = this.#now();
    if (charges.length === 1) return [this.#decide(charges[0]!, now, true)];

    const decisions = charges.map((charge) => this.#decide(charge, now, false));
    const granted = decisions.every((decision) => decision.allowed);
    for (const [i, charge] of charges.entries()) {
      // What only looks has its answer.
      if (granted && charge.cost === 0) continue;
      // When one refuses, only refusals are decided for good: they may count, or bring a state back to the present.
      if (granted || !decisions[i]!.allowed || charge.policy.countRefused) {
        decisions[i] = this.#decide(charge, now, true);
      }
    }
    return decisions;
  }

  peek(charges: readonly Charge[]): readonly Decision[] {
    const now = this.#now();
    return charges.map((charge) => this.#decide(charge, now, false));
  }

  release(refunds: readonly Refund[]): void {
    const now = this.#now();
    for (const { policy, key, cost, at } of refunds) {
      const shard = this.#locate(key, policy);
      const slot = this.#slot;
      if (slot < 0) continue;
      const algorithm = algorithmOf(policy.algorithm);
      const grantedAt = at === undefined ? undefined : micros(at);
      const before = this.#read(shard, slot, algorithm);
      const isFresh = shard.cells[ROW * slot]! <= now;
      const state = isFresh ? undefined : algorithm.giveBack(policy, before, cost, grantedAt, now);
      if (state === undefined) this.#remove(shard, slot);
      else if (state !== before)
        this.#write(shard, slot, policy, state, algorithm.decide(policy, state, 0, now, false).decision);
    }
  }

  reset(key: string, policies: readonly CompiledPolicy[]): void {
    for (const policy of policies) {
      const shard = this.#locate(key, policy);
      if (this.#slot >= 0) this.#remove(shard, this.#slot);
    }
  }

  /**
   * Takes over what a decision of another store tells of a key: the key then has what the decision says, and never gets
   * it back sooner than in that store.
   */
  recall(policy: CompiledPolicy, key: string, told: Told): void {
    const now = this.#now();
    const shard = this.#locate(key, policy);
    const slot = this.#slot;
    if (micros(told.at) + micros(told.resetAfter) <= now) {
      if (slot >= 0) this.#remove(shard, slot);
      return;
    }
    const algorithm = algorithmOf(policy.algorithm);
    const known = slot >= 0 && shard.cells[ROW * slot]! > now;
    const before = known ? this.#read(shard, slot, algorithm) : undefined;
    this.#keep(shard, slot, policy, algorithm.recall(policy, told, before), told, now);
  }

  lower(known: readonly Known[]): void {
    const now = this.#now();
    for (const told of known) {
      const { policy, key } = told;
      const freshAt = micros(told.at) + micros(told.resetAfter);
      if (freshAt <= now) continue;
      const shard = this.#locate(key, policy);
      const slot = this.#slot;
      const algorithm = algorithmOf(policy.algorithm);
      let state = algorithm.recall(policy, told, undefined);
      if (slot >= 0 && shard.cells[ROW * slot]! > now) {
        const before = this.#read(shard, slot, algorithm);
        const { remaining } = algorithm.decide(policy, before, 0, now, false).decision;
        if (remaining <= told.remaining && shard.cells[ROW * slot]! >= freshAt) continue;
        state = algorithm.worse(policy, before, state, now);
      }
      const { decision } = algorithm.decide(policy, state, 0, now, false);
      this.#keep(shard, slot, policy, state, decision, now);
    }
  }

  /**
   * All that is kept, in chunks that together are what `restore` takes. Between two chunks the store may go on being
   * used: each key is told as it was at some moment since the dump began, and a chunk takes some milliseconds at the
   * most. A dump holds the secret of the store, with which keys could be found that share a budget: keep it like any
   * other secret, as in a file that nobody else may read (mode 0600). Borrowed units, those of the requests that are at
   * work, are left out.
   * @throws SluiceError `UNUSABLE_STATE` when another dump was restored meanwhile.
   */
  *dump(): Generator<Uint8Array, void, void> {
    const hash = this.#hash;
    const contents = { secret: hash.secret, table: this.#table, policies: this.#policies };
    for (const chunk of dumped(contents, () => this.#now())) {
      if (this.#hash !== hash) {
        throw new SluiceError(
          'UNUSABLE_STATE',
          'This dump is of a MemoryStore that has been restored from another since it began. Begin a new one.',
        );
      }
      yield chunk;
    }
  }

  /**
   * Goes on from a dump, whose bytes may come in chunks of any size, instead of what is kept so far. What is fresh again
   * by now is left out; of more keys than `maxKeys`, those are kept that a full store would keep.
   * @throws SluiceError `UNUSABLE_STATE` for what is not a whole dump, with what is wrong and at which byte; the store
   * is as it was then.
   */
  restore(chunks: Iterable<Uint8Array>): void {
    const now = this.#now();
    const { secret, table, policies } = contentsOf(new FrameReader(chunks), now);
    this.#hash = new KeyHash(secret);
    this.#policies.length = 0;
    this.#numbers.clear();
    for (const [number, policy] of policies.entries()) {
      this.#policies.push(policy);
      this.#numbers.set(policy.id, number);
    }
    this.#table.adopt(table);
    this.#changes++;
    while (this.#table.size > this.#maxKeys) this.#evictor.makeRoom(now);
    if (this.#table.size > 0) this.#sweeper.start();
  }

  /** Forgets everything, and stops looking for keys to forget. */
  close(): void {
    this.#sweeper.stop();
    this.#table.clear();
    this.#changes++;
  }

  #now(): number {
    const now = this.#clock.now();
    if (Number.isSafeInteger(now) && now >= 0) return now;
    throw new SluiceError(
      'INVALID_CLOCK',
      `The clock of a MemoryStore must return whole microseconds since the epoch; got ${show(now)}.`,
    );
  }

  /** The shard in which the key is or would be; `#slot` says where. */
  #locate(key: string, policy: CompiledPolicy): Shard {
    let owner = this.#numbers.get(policy.id);
    if (owner === undefined) {
      owner = this.#policies.length;
      this.#numbers.set(policy.id, owner);
    }
    this.#policies[owner] = policy;
    this.#hash.hash(key, owner);
    const shard = this.#table.shardOf(this.#hash.high);
    this.#slot = shard.find(this.#hash.low, this.#hash.high, owner);
    return shard;
  }

  #decide({ policy, key, cost }: Charge, now: number, take: boolean): Decision {
    const shard = this.#locate(key, policy);
    const slot = this.#slot;
    const algorithm = algorithmOf(policy.algorithm);
    const known = slot >= 0 && shard.cells[ROW * slot]! > now;
    const before = known ? this.#read(shard, slot, algorithm) : undefined;
    const { state, decision } = algorithm.decide(policy, before, cost, now, take);
    if (!take) return decision;

    if (state !== before && state !== undefined) {
      this.#keep(shard, slot, policy, state, decision, now);
    } else if (known && !decision.allowed && decision.retryAfter !== Number.POSITIVE_INFINITY) {
      shard.mark(slot, REFUSED);
      shard.openFrom = Math.min(shard.openFrom, now + micros(decision.retryAfter));
    }
    return decision;
  }

  #keep(shard: Shard, slot: number, policy: CompiledPolicy, state: unknown, told: Told, now: number): void {
    if (slot >= 0) this.#write(shard, slot, policy, state, told);
    else this.#add(policy, state, told, now);
  }

  #add(policy: CompiledPolicy, state: unknown, told: Told, now: number): void {
    if (this.#table.size >= this.#maxKeys) this.#evictor.makeRoom(now);
    const { low, high } = this.#hash;
    const shard = this.#table.shardWithRoom(high);
    const slot = shard.add(low, high, this.#numbers.get(policy.id)!);
    this.#table.size++;
    this.#write(shard, slot, policy, state, told);
    this.#sweeper.keyAdded(now);
  }

  #remove(shard: Shard, slot: number): void {
    this.#changes++;
    this.#table.remove(shard, slot);
  }

  #read(shard: Shard, slot: number, algorithm: Algorithm<unknown>): unknown {
    return algorithm.cells ? algorithm.cells.read(shard.cells, ROW * slot + 1) : shard.object(slot);
  }

  #write(shard: Shard, slot: number, policy: CompiledPolicy, state: unknown, told: Told): void {
    this.#changes++;
    const now = micros(told.at);
    const freshAt = now + micros(told.resetAfter);
    shard.cells[ROW * slot] = freshAt;
    if (freshAt < shard.freshFrom) shard.freshFrom = freshAt;
    const algorithm = algorithmOf(policy.algorithm);
    if (algorithm.cells) algorithm.cells.write(shard.cells, ROW * slot + 1, state);
    else shard.setObject(slot, state);

    shard.mark(slot, told.remaining > 0 ? OPEN : REFUSED);
    if (told.remaining > 0) return;
    const next = algorithm.decide(policy, state, 1, now, false).decision;
    shard.openFrom = Math.min(shard.openFrom, now + micros(next.retryAfter));
  }
}
