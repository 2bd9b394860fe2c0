import { algorithmOf } from '../algorithms/index.js';
import type { SlidingWindowLogState } from '../algorithms/sliding-window-log.js';
import type { CompiledPolicy } from '../policy.js';
import { Contents } from './contents.js';
import { type FrameReader, FrameWriter } from './frames.js';
import { KeyHash } from './key-hash.js';
import { BOXED, EMPTY, type Mark, markAt, OPEN, REFUSED, ROW, STATE, shapeAt } from './row.js';
import type { Shape } from './shapes.js';
import type { Box, Shard } from './shard.js';
import { Table } from './table.js';

/** What the next thing told is; each key names the policy that wrote its state by its place among those told before. */
const end = 0;
const aPolicy = 1;
/** A key with its row as it is. */
const aRow = 2;
/** A key whose state is not in its row: a log, or another one in words. */
const aLog = 3;
const aState = 4;

/** A key whose state is a log, as it was when its shard was looked at. A log's arrays only grow at the end. */
interface Logged {
  readonly low: number;
  readonly high: number;
  readonly mark: number;
  readonly box: Box;
}

/**
 * Tells the contents in chunks of some 64 KB, between which they may go on changing. The walk is over the space of
 * fingerprints, so that whatever splits or is emptied meanwhile, no key that stays is missed, and none is told twice.
 * Keys that are fresh at `now`, and units that requests at work have borrowed, are left out.
 */
export function* dumped(contents: Contents, now: () => number): Generator<Uint8Array, void, void> {
  yield* new Telling(contents).chunks(now);
}

/** A Telling is one dump under way. */
class Telling {
  readonly #contents: Contents;
  readonly #writer = new FrameWriter();
  /** Places of the policies told so far, by their shapes and, of boxes, by their owners. */
  readonly #places = new Map<Shape | number, number>();

  constructor(contents: Contents) {
    this.#contents = contents;
  }

  *chunks(now: () => number): Generator<Uint8Array, void, void> {
    const writer = this.#writer;
    const { hash, table, owners } = this.#contents;
    yield writer.begin();
    writer.word(hash.secret[0]!);
    writer.word(hash.secret[1]!);

    for (let from = 0; from < 2 ** 32; ) {
      const shard = table.shardOf(from | 0);
      const logs = this.#tellRows(shard, from, now());
      // A shard that was made when the table was emptied begins before `from`.
      const width = 2 ** (32 - shard.depth);
      from += width - (from % width);
      if (writer.isFull) yield writer.take();
      for (const log of logs) yield* this.#tellLog(log);
    }
    writer.byte(end);

    // Policies that are new since the last key have none in the dump; they do no harm.
    const { policies } = owners;
    writer.word(policies.length);
    for (const policy of policies) {
      writer.text(JSON.stringify(policy));
      if (writer.isFull) yield writer.take();
    }
    if (!writer.isEmpty) yield writer.take();
    yield writer.take();
  }

  /** Tells the keys of a shard whose fingerprints begin at `from` or later, and hands back those that are logs. */
  #tellRows(shard: Shard, from: number, now: number): readonly Logged[] {
    const { table, owners } = this.#contents;
    const { words } = shard;
    const logs: Logged[] = [];
    for (let row = 0; row < words.length; row += ROW) {
      if (markAt(words, row) === EMPTY || words[row + 1]! >>> 0 < from || table.freshAt(shard, row) <= now) continue;
      const { policy, number } = owners.at(table.ownerAt(shard, row));
      if (policy.borrowed) continue;
      const shape = shapeAt(words, row);
      if (shape !== BOXED) {
        const place = this.#place(table.shapes.at(shape), number, table.shapes.at(shape).policy);
        this.#writer.byte(aRow);
        this.#writer.word(place);
        for (let i = 0; i < ROW; i++) this.#writer.word(words[row + i]!);
        continue;
      }
      const boxed = { low: words[row]!, high: words[row + 1]!, mark: markAt(words, row), box: shard.box(row)! };
      if (policy.algorithm === 'sliding-window-log') logs.push(boxed);
      else {
        this.#tellBoxed(aState, boxed);
        this.#writer.text(JSON.stringify(boxed.box.state));
      }
    }
    return logs;
  }

  #tellBoxed(kind: number, { low, high, mark, box }: Logged): void {
    const place = this.#place(box.owner, box.owner, this.#contents.owners.at(box.owner).policy);
    this.#writer.byte(kind);
    this.#writer.word(place);
    this.#writer.word(low);
    this.#writer.word(high);
    this.#writer.byte(mark);
    this.#writer.float(box.freshAt);
  }

  *#tellLog(log: Logged): Generator<Uint8Array, void, void> {
    const { times, totals, head, tail } = log.box.state as SlidingWindowLogState;
    const writer = this.#writer;
    this.#tellBoxed(aLog, log);
    writer.word(tail - head);
    const before = head > 0 ? totals[head - 1]! : 0;
    for (let i = head; i < tail; i++) {
      writer.float(times[i]!);
      writer.float(totals[i]! - before);
      if (writer.isFull) yield writer.take();
    }
  }

  /** The place of a policy, which is told now if it has not been yet. */
  #place(name: Shape | number, owner: number, policy: CompiledPolicy): number {
    let place = this.#places.get(name);
    if (place === undefined) {
      place = this.#places.size;
      this.#places.set(name, place);
      this.#writer.byte(aPolicy);
      this.#writer.word(owner);
      this.#writer.text(JSON.stringify(policy));
    }
    return place;
  }
}

/** A policy that a dump tells of, with the number that its keys know it by. */
interface Told {
  readonly at: number;
  readonly owner: number;
  readonly policy: CompiledPolicy;
  readonly shape: Shape;
}

/**
 * Reads a whole dump, without the keys that are fresh at `now`.
 * @throws SluiceError `UNUSABLE_STATE` with the position, for what is not a whole dump.
 */
export function contentsOf(reader: FrameReader, now: number): Contents {
  reader.begin();
  const secret = Uint32Array.of(reader.word(), reader.word());
  const table = new Table();
  const told: Told[] = [];
  const words = new Int32Array(ROW);

  for (let kind = reader.byte(); kind !== end; kind = reader.byte()) {
    const at = reader.position - 1;
    if (kind === aPolicy) {
      const owner = reader.word();
      const policy = policyOf(reader);
      told.push({ at, owner, policy, shape: table.shapes.of(owner, policy) });
      continue;
    }
    if (kind !== aRow && kind !== aLog && kind !== aState)
      throw reader.fault(`a key of an unknown kind, ${kind}, begins`, at);
    const by = told[reader.word()];
    const isLog = by?.policy.algorithm === 'sliding-window-log';
    if (by === undefined || isLog !== (kind === aLog))
      throw reader.fault('a key begins that is of no policy told before', at);
    const { cells } = by.shape;
    for (let i = 0; i < (kind === aRow ? ROW : STATE); i++) words[i] = reader.word();
    const mark = kind === aRow ? markAt(words, 0) : reader.byte();
    if (mark !== OPEN && mark !== REFUSED) throw reader.fault(`a key with an unknown mark, ${mark}, begins`, at);
    const freshAt = kind === aRow ? cells!.freshAt(words, STATE, by.policy) : reader.float();
    const state =
      kind === aRow ? cells!.read(words, STATE, by.policy) : kind === aLog ? logOf(reader) : stateOf(reader);
    if (freshAt > now) add(reader, table, by, words, mark, state, freshAt, at);
  }
  const policies = policiesOf(reader);
  for (const { at, owner, policy } of told) {
    if (policies[owner]?.id !== policy.id)
      throw reader.fault(`a policy begins that is none of the dump, ${policy.id}`, at);
  }
  reader.end();
  return new Contents(new KeyHash(secret), table, policies);
}

function add(
  reader: FrameReader,
  table: Table,
  { owner, shape }: Told,
  [low, high]: Int32Array,
  mark: Mark,
  state: unknown,
  freshAt: number,
  at: number,
): void {
  const shard = table.shardWithRoom(high!);
  if (table.find(shard, low!, high!, owner) >= 0) throw reader.fault('a key is told a second time', at);
  const row = shard.add(low!, high!);
  table.size++;
  table.write(shard, row, { number: owner, shape }, state, freshAt);
  shard.mark(row, mark);
  // When it has units again is worked out when that matters: not before the epoch, in any case.
  if (mark === REFUSED) shard.openFrom = 0;
}

function logOf(reader: FrameReader): SlidingWindowLogState {
  const times: number[] = [];
  const totals: number[] = [];
  for (let left = reader.word(); left > 0; left--) {
    times.push(reader.float());
    totals.push(reader.float());
  }
  return { times, totals, head: 0, tail: times.length };
}

function stateOf(reader: FrameReader): unknown {
  const at = reader.position;
  const state = objectOf(reader.text());
  if (state === undefined || !Object.values(state).every(Number.isFinite)) {
    throw reader.fault('a state begins that this version does not understand', at);
  }
  return state;
}

function policiesOf(reader: FrameReader): readonly CompiledPolicy[] {
  const policies: CompiledPolicy[] = [];
  for (let left = reader.word(); left > 0; left--) policies.push(policyOf(reader));
  return policies;
}

const numbers = ['limit', 'capacity', 'windowMs', 'window', 'tick', 'unit', 'rate'] as const;

function policyOf(reader: FrameReader): CompiledPolicy {
  const at = reader.position;
  const policy = objectOf(reader.text()) as CompiledPolicy | undefined;
  const isUsable =
    typeof policy?.id === 'string' &&
    typeof algorithmOf(policy.algorithm)?.decide === 'function' &&
    (policy.algorithm === 'penalty') === (typeof policy.penalty === 'object') &&
    numbers.every((name) => Number.isFinite(policy[name]));
  if (!isUsable) throw reader.fault('a policy begins that this version does not understand', at);
  return policy!;
}

function objectOf(text: string): object | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}
