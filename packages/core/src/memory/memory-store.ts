import type { Told } from '../algorithms/algorithm.js';
import type { Charge, Refund } from '../charge.js';
import { type Clock, checkClock, systemClock } from '../clock.js';
import type { Decision } from '../decision.js';
import { micros } from '../duration.js';
import { SluiceError, show } from '../errors.js';
import { checkNames } from '../options.js';
import type { CompiledPolicy } from '../policy.js';
import type { Known, SyncStore } from '../store.js';
import { Contents } from './contents.js';
import { contentsOf, dumped } from './dump.js';
import { Evictor } from './eviction.js';
import { FrameReader } from './frames.js';
import type { Owner } from './owners.js';
import { checkRoom, fewKeys } from './room.js';
import { BOXED, OPEN, REFUSED, STATE, shapeAt } from './row.js';
import type { Shape } from './shapes.js';
import type { Shard } from './shard.js';
import { Sweeper } from './sweeper.js';

export interface MemoryStoreOptions {
  /**
   * The most keys kept, counted per policy: an integer from 1 to 2^30 for which there is memory, at 40 bytes per key. A
   * sliding-window log takes more, 16 bytes per grant and about 250 per key, which is not foreseen here.
   * @default 1_000_000
   */
  maxKeys?: number;
  /** @default systemClock */
  clock?: Clock;
}

/**
 * A MemoryStore keeps state in this process, and only while it differs from fresh: some 34 bytes per key, whatever its
 * length.
 *
 * Keys are kept as 64-bit fingerprints under a secret of the store. Two keys of one policy with the same fingerprint
 * would share a budget, so that one may be refused for what the other took, and a reset of one frees both. Among n keys present at once the odds that
 * any two do are n²/2^65: 1 to 37 million with a million keys, 1 to 3,700 with a hundred million; and nobody can search
 * for such keys without the secret.
 */
export class MemoryStore implements SyncStore {
  readonly sync = true;
  readonly #maxKeys: number;
  readonly #clock: Clock;
  #contents = new Contents();
  readonly #evictor = new Evictor(this.#contents);
  readonly #sweeper: Sweeper;
  #changes = 0;
  /** What the last `#locate` found: the policy's owner, and the key's row or -1. */
  #owner: Owner | undefined;
  #row = -1;

  constructor(options: MemoryStoreOptions = {}) {
    checkNames(options, ['maxKeys', 'clock'], 'MemoryStore');
    const { maxKeys = fewKeys, clock = systemClock } = options;
    if (!Number.isInteger(maxKeys) || maxKeys < 1 || maxKeys > 2 ** 30) {
      throw new SluiceError(
        'INVALID_OPTION',
        `MemoryStore: 'maxKeys' must be an integer from 1 to ${2 ** 30}; got ${show(maxKeys)}.`,
      );
    }
    checkRoom(maxKeys);
    this.#maxKeys = maxKeys;
    this.#clock = checkClock(clock, 'MemoryStore');
    this.#sweeper = new Sweeper(this.#contents, this.#clock);
  }

  /** Keys kept now, counted per policy. Keys that are fresh again are counted until the next sweep. */
  get size(): number {
    return this.#contents.table.size;
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
    if (charges.length === 1) {
      const { policy, key, cost } = charges[0]!;
      return [this.#consume(policy, key, cost, now)];
    }

    const decisions = charges.map(({ policy, key, cost }) => this.#decide(policy, key, cost, now, false));
    const granted = decisions.every((decision) => decision.allowed);
    for (const [i, { policy, key, cost }] of charges.entries()) {
      // What only looks has its answer.
      if (granted && cost === 0) continue;
      // When one refuses, only refusals are decided for good: they may count, or bring a state back to the present.
      if (granted || !decisions[i]!.allowed || policy.countRefused) {
        decisions[i] = this.#decide(policy, key, cost, now, true);
      }
    }
    return decisions;
  }

  consumeOne(policy: CompiledPolicy, key: string, cost: number): Decision {
    return this.#consume(policy, key, cost, this.#now());
  }

  peek(charges: readonly Charge[]): readonly Decision[] {
    const now = this.#now();
    return charges.map(({ policy, key, cost }) => this.#decide(policy, key, cost, now, false));
  }

  release(refunds: readonly Refund[]): void {
    const now = this.#now();
    for (const { policy, key, cost, at } of refunds) {
      const shard = this.#locate(policy, key);
      const row = this.#row;
      if (row < 0) continue;
      const { algorithm } = this.#owner!;
      const grantedAt = at === undefined ? undefined : micros(at);
      const before = this.#known(shard, row, now);
      const state = before === undefined ? undefined : algorithm.giveBack(policy, before, cost, grantedAt, now);
      if (state === undefined) this.#remove(shard, row);
      else if (state !== before) {
        this.#write(shard, row, state, algorithm.decide(policy, state, 0, now, false).decision);
      }
    }
  }

  reset(key: string, policies: readonly CompiledPolicy[]): void {
    for (const policy of policies) {
      const shard = this.#locate(policy, key);
      if (this.#row >= 0) this.#remove(shard, this.#row);
    }
  }

  /**
   * Takes over what a decision of another store tells of a key: the key then has what the decision says, and never gets
   * it back sooner than in that store.
   */
  recall(policy: CompiledPolicy, key: string, told: Told): void {
    const now = this.#now();
    const shard = this.#locate(policy, key);
    const row = this.#row;
    if (micros(told.at) + micros(told.resetAfter) <= now) {
      if (row >= 0) this.#remove(shard, row);
      return;
    }
    const before = row < 0 ? undefined : this.#known(shard, row, now);
    this.#keep(shard, this.#owner!.algorithm.recall(policy, told, before), told, now);
  }

  lower(known: readonly Known[]): void {
    const now = this.#now();
    for (const told of known) {
      const { policy, key } = told;
      const freshAt = micros(told.at) + micros(told.resetAfter);
      if (freshAt <= now) continue;
      const shard = this.#locate(policy, key);
      const row = this.#row;
      const { algorithm } = this.#owner!;
      let state = algorithm.recall(policy, told, undefined);
      const before = row < 0 ? undefined : this.#known(shard, row, now);
      if (before !== undefined) {
        const { remaining } = algorithm.decide(policy, before, 0, now, false).decision;
        if (remaining <= told.remaining && this.#contents.table.freshAt(shard, row) >= freshAt) continue;
        state = algorithm.worse(policy, before, state, now);
      }
      const { decision } = algorithm.decide(policy, state, 0, now, false);
      this.#keep(shard, state, decision, now);
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
    const contents = this.#contents;
    for (const chunk of dumped(contents, () => this.#now())) {
      if (this.#contents !== contents) {
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
    this.#contents = contentsOf(new FrameReader(chunks), now);
    this.#changes++;
    this.#evictor.reset(this.#contents);
    while (this.size > this.#maxKeys) this.#evictor.makeRoom(now);
    this.#sweeper.reset(this.#contents);
  }

  /** Forgets everything, and stops looking for keys to forget. */
  close(): void {
    this.#sweeper.stop();
    this.#contents.table.clear();
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

  /** The shard in which the key is or would be; `#owner` and `#row` say whose and where. */
  #locate(policy: CompiledPolicy, key: string): Shard {
    const { hash, table, owners } = this.#contents;
    const owner = owners.of(policy);
    hash.hash(key, owner.number);
    const shard = table.shardOf(hash.high);
    this.#owner = owner;
    this.#row = table.find(shard, hash.low, hash.high, owner.number);
    return shard;
  }

  /** What the row says, if it says anything yet at `now`. */
  #known(shard: Shard, row: number, now: number): unknown {
    const { table } = this.#contents;
    return table.freshAt(shard, row) > now ? table.read(shard, row) : undefined;
  }

  #consume(policy: CompiledPolicy, key: string, cost: number, now: number): Decision {
    const { hash, table, owners } = this.#contents;
    const owner = owners.of(policy);
    hash.hash(key, owner.number);
    const shard = table.shardOf(hash.high);
    const row = shard.find(hash.low, hash.high);
    const decision = row < 0 ? undefined : consumeInPlace(shard.words, row, owner.shape, policy, cost, now);
    if (decision === undefined) {
      this.#owner = owner;
      this.#row = table.find(shard, hash.low, hash.high, owner.number);
      return this.#decideAt(shard, policy, cost, now, true);
    }
    if (!decision.allowed) this.#markRefused(shard, row, decision, now);
    else {
      shard.mark(row, OPEN);
      if (cost > 0) this.#changes++;
    }
    return decision;
  }

  #decide(policy: CompiledPolicy, key: string, cost: number, now: number, take: boolean): Decision {
    return this.#decideAt(this.#locate(policy, key), policy, cost, now, take);
  }

  /** Decides on the key that was located last. */
  #decideAt(shard: Shard, policy: CompiledPolicy, cost: number, now: number, take: boolean): Decision {
    const row = this.#row;
    const before = row < 0 ? undefined : this.#known(shard, row, now);
    const { state, decision } = this.#owner!.algorithm.decide(policy, before, cost, now, take);
    if (!take) return decision;

    if (state !== before && state !== undefined) {
      this.#keep(shard, state, decision, now);
    } else if (before !== undefined && !decision.allowed) {
      this.#markRefused(shard, row, decision, now);
    }
    return decision;
  }

  /** A cost that can never pass says nothing of the key. */
  #markRefused(shard: Shard, row: number, { retryAfter }: Decision, now: number): void {
    if (retryAfter === Number.POSITIVE_INFINITY) return;
    shard.mark(row, REFUSED);
    const openFrom = now + micros(retryAfter);
    if (openFrom < shard.openFrom) shard.openFrom = openFrom;
  }

  /** Writes the state of the key that was located last. */
  #keep(shard: Shard, state: unknown, told: Told, now: number): void {
    if (this.#row >= 0) this.#write(shard, this.#row, state, told);
    else this.#add(state, told, now);
  }

  #add(state: unknown, told: Told, now: number): void {
    const { hash, table } = this.#contents;
    if (table.size >= this.#maxKeys) this.#evictor.makeRoom(now);
    const shard = table.shardWithRoom(hash.high);
    const row = shard.add(hash.low, hash.high);
    table.size++;
    this.#write(shard, row, state, told);
    this.#sweeper.keyAdded(now);
  }

  #remove(shard: Shard, row: number): void {
    this.#changes++;
    this.#contents.table.remove(shard, row);
  }

  #write(shard: Shard, row: number, state: unknown, told: Told): void {
    this.#changes++;
    const now = micros(told.at);
    const owner = this.#owner!;
    this.#contents.table.write(shard, row, owner, state, now + micros(told.resetAfter));
    shard.mark(row, told.remaining > 0 ? OPEN : REFUSED);
    if (told.remaining > 0) return;
    const next = owner.algorithm.decide(owner.policy, state, 1, now, false).decision;
    shard.openFrom = Math.min(shard.openFrom, now + micros(next.retryAfter));
  }
}

/** Decides where the state is, if it is of the shape that the policy writes; see Cells. */
function consumeInPlace(
  words: Int32Array,
  row: number,
  shape: Shape,
  policy: CompiledPolicy,
  cost: number,
  now: number,
): Decision | undefined {
  const number = shapeAt(words, row);
  if (number === BOXED || number !== shape.number) return undefined;
  return shape.cells!.consume?.(words, row + STATE, policy, cost, now);
}
