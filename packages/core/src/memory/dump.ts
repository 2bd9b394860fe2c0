import { algorithmOf } from '../algorithms/index.js';
import type { SlidingWindowLogState } from '../algorithms/sliding-window-log.js';
import type { CompiledPolicy } from '../policy.js';
import { type FrameReader, FrameWriter } from './frames.js';
import { EMPTY, OPEN, REFUSED, ROW, type Shard } from './shard.js';
import { Table } from './table.js';

/** What a dump holds: the secret of the fingerprints, the keys, and the policies by their numbers. */
export interface Contents {
  readonly secret: Uint32Array;
  readonly table: Table;
  readonly policies: readonly CompiledPolicy[];
}

/** Stands before each key, its mark added, and tells the end of the keys. */
const end = 0;
const withCells = 0;
/** The one algorithm whose states are not a fixed number of numbers is the log. */
const withLog = 2;

/** A key whose state is a log, as it was when its shard was looked at. A log's arrays only grow at the end. */
interface Logged {
  readonly low: number;
  readonly high: number;
  readonly owner: number;
  readonly mark: number;
  readonly freshAt: number;
  readonly state: SlidingWindowLogState;
}

/**
 * Tells the contents in chunks of some 64 KB, between which they may go on changing. The walk is over the space of
 * fingerprints, so that whatever splits or is emptied meanwhile, no key that stays is missed, and none is told twice.
 * Keys that are fresh at `now`, and units that requests at work have borrowed, are left out.
 */
export function* dumped({ secret, table, policies }: Contents, now: () => number): Generator<Uint8Array, void, void> {
  const writer = new FrameWriter();
  yield writer.begin();
  writer.word(secret[0]!);
  writer.word(secret[1]!);

  for (let from = 0; from < 2 ** 32; ) {
    const shard = table.shardOf(from | 0);
    const logs = writeCells(writer, shard, policies, from, now());
    // A shard that was made when the table was emptied begins before `from`.
    const width = 2 ** (32 - shard.depth);
    from += width - (from % width);
    if (writer.isFull) yield writer.take();
    for (const log of logs) yield* writeLog(writer, log);
  }
  writer.byte(end);

  // Policies that are new since the last key have none in the dump; they do no harm.
  const count = policies.length;
  writer.word(count);
  for (let number = 0; number < count; number++) {
    writer.text(JSON.stringify(policies[number]));
    if (writer.isFull) yield writer.take();
  }
  if (!writer.isEmpty) yield writer.take();
  yield writer.take();
}

/** Writes the keys of a shard whose fingerprints begin at `from` or later, and hands back those that are logs. */
function writeCells(
  writer: FrameWriter,
  shard: Shard,
  policies: readonly CompiledPolicy[],
  from: number,
  now: number,
): readonly Logged[] {
  const logs: Logged[] = [];
  for (let slot = 0; slot < shard.capacity; slot++) {
    const mark = shard.marks[slot]!;
    const freshAt = shard.cells[ROW * slot]!;
    if (mark === EMPTY || freshAt <= now) continue;
    const { low, high } = shard.print(slot);
    if (high >>> 0 < from) continue;
    const owner = shard.owners[slot]!;
    const policy = policies[owner]!;
    if (policy.borrowed) continue;
    if (algorithmOf(policy.algorithm).cells === undefined) {
      logs.push({ low, high, owner, mark, freshAt, state: shard.object(slot) as SlidingWindowLogState });
      continue;
    }
    writeKey(writer, withCells, { low, high, owner, mark, freshAt });
    for (let i = 1; i < ROW; i++) writer.float(shard.cells[ROW * slot + i]!);
  }
  return logs;
}

function writeKey(writer: FrameWriter, kind: number, key: Omit<Logged, 'state'>): void {
  writer.byte(kind + key.mark);
  writer.word(key.low);
  writer.word(key.high);
  writer.word(key.owner);
  writer.float(key.freshAt);
}

function* writeLog(writer: FrameWriter, log: Logged): Generator<Uint8Array, void, void> {
  const { times, totals, head, tail } = log.state;
  writeKey(writer, withLog, log);
  writer.word(tail - head);
  const before = head > 0 ? totals[head - 1]! : 0;
  for (let i = head; i < tail; i++) {
    writer.float(times[i]!);
    writer.float(totals[i]! - before);
    if (writer.isFull) yield writer.take();
  }
}

/**
 * Reads a whole dump, without the keys that are fresh at `now`.
 * @throws SluiceError `UNUSABLE_STATE` with the position, for what is not a whole dump.
 */
export function contentsOf(reader: FrameReader, now: number): Contents {
  reader.begin();
  const secret = Uint32Array.of(reader.word(), reader.word());
  const table = new Table();
  /** By the numbers of policies, where the first key of each kind stands. */
  const firsts = { cells: new Map<number, number>(), logs: new Map<number, number>() };

  for (let tag = reader.byte(); tag !== end; tag = reader.byte()) {
    const at = reader.position - 1;
    const mark = tag > withLog ? tag - withLog : tag;
    if (mark !== OPEN && mark !== REFUSED) throw reader.fault(`a key of an unknown kind, ${tag}, begins`, at);
    const low = reader.word() | 0;
    const high = reader.word() | 0;
    const owner = reader.word();
    const freshAt = reader.float();
    const isLog = tag > withLog;
    const first = isLog ? firsts.logs : firsts.cells;
    if (!first.has(owner)) first.set(owner, at);
    const state = isLog ? logOf(reader) : [reader.float(), reader.float(), reader.float()];
    if (freshAt <= now) continue;

    const shard = table.shardWithRoom(high);
    if (shard.find(low, high, owner) >= 0) throw reader.fault('a key is told a second time', at);
    const slot = shard.add(low, high, owner);
    table.size++;
    shard.mark(slot, mark);
    shard.cells[ROW * slot] = freshAt;
    if (isLog) shard.setObject(slot, state);
    else shard.cells.set(state as number[], ROW * slot + 1);
    shard.freshFrom = Math.min(shard.freshFrom, freshAt);
    // When it has units again is worked out when that matters: not before the epoch, in any case.
    if (mark === REFUSED) shard.openFrom = 0;
  }
  const policies = policiesOf(reader);
  for (const [kind, owners] of Object.entries(firsts)) {
    for (const [owner, at] of owners) {
      const policy = policies[owner];
      if (policy !== undefined && (algorithmOf(policy.algorithm).cells === undefined) === (kind === 'logs')) continue;
      throw reader.fault(`a key begins that is of no policy of the dump, ${owner}`, at);
    }
  }
  reader.end();
  return { secret, table, policies };
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

function policiesOf(reader: FrameReader): readonly CompiledPolicy[] {
  const policies: CompiledPolicy[] = [];
  for (let left = reader.word(); left > 0; left--) {
    const at = reader.position;
    const policy = parsed(reader.text());
    if (policy === undefined) throw reader.fault('a policy begins that this version does not understand', at);
    policies.push(policy);
  }
  return policies;
}

const numbers = ['limit', 'capacity', 'windowMs', 'window', 'tick', 'unit', 'rate'] as const;

function parsed(text: string): CompiledPolicy | undefined {
  let policy: CompiledPolicy | null;
  try {
    policy = JSON.parse(text) as CompiledPolicy | null;
  } catch {
    return undefined;
  }
  const isUsable =
    typeof policy?.id === 'string' &&
    typeof algorithmOf(policy.algorithm)?.decide === 'function' &&
    (policy.algorithm === 'penalty') === (typeof policy.penalty === 'object') &&
    numbers.every((name) => Number.isFinite(policy[name]));
  return isUsable ? policy! : undefined;
}
