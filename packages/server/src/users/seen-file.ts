import { type Clock, type Logger, SluiceError } from '@sluice/core';
import { messageOf } from '@sluice/core/toolkit';
import { headerLine, readHeader, readRecord, recordLine } from '../storage/journal-line.js';
import { readWhole, saveWhole } from '../storage/whole-file.js';
import type { SeenUser } from './seen-users.js';

/** What is saved, and takes up what was. */
export interface SeenOwner {
  export(): Iterable<SeenUser>;
  import(users: Iterable<SeenUser>): void;
}

/** Milliseconds between two saves. */
const interval = 60_000;
/** Users per chunk: the event loop gets its turn between two. */
const slice = 1_000;

/** What it says of itself in its first line, like a journal. */
const kind = 'seen';

/**
 * A SeenFile keeps who was seen over restarts, one user on a line, each with a number and a checksum; the last line says
 * how many there are. It is saved every minute, and at the end.
 */
export class SeenFile {
  readonly #path: string;
  readonly #owner: SeenOwner;
  readonly #clock: Clock;
  readonly #logger: Logger;
  #cancelTimer: (() => void) | undefined;
  #saving: Promise<void> = Promise.resolve();
  #isFailing = false;
  #isClosed = false;

  private constructor(path: string, owner: SeenOwner, clock: Clock, logger: Logger) {
    this.#path = path;
    this.#owner = owner;
    this.#clock = clock;
    this.#logger = logger;
    this.#arm();
  }

  /** @throws SluiceError `UNUSABLE_STATE` for a file that is damaged, with the line; it is left as it is. */
  static async open(
    path: string,
    owner: SeenOwner,
    { clock, logger }: { clock: Clock; logger: Logger },
  ): Promise<SeenFile> {
    const bytes = await readWhole(path);
    if (bytes !== undefined) owner.import(usersOf(bytes.toString('utf8'), path));
    return new SeenFile(path, owner, clock, logger);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#cancelTimer?.();
    await this.#saving;
    await saveWhole(this.#path, linesOf(this.#owner.export()));
  }

  #arm(): void {
    this.#cancelTimer = this.#clock.after(
      interval,
      () => {
        this.#saving = this.#save();
      },
      { background: true },
    );
  }

  async #save(): Promise<void> {
    try {
      await saveWhole(this.#path, linesOf(this.#owner.export()));
      this.#isFailing = false;
    } catch (error) {
      if (!this.#isFailing) this.#logger.warn(`who was seen is not saved: ${messageOf(error)}`);
      this.#isFailing = true;
    }
    if (!this.#isClosed) this.#arm();
  }
}

async function* linesOf(users: Iterable<SeenUser>): AsyncIterable<Uint8Array> {
  let lines = headerLine(kind, 1);
  let count = 0;
  for (const user of users) {
    lines += recordLine(++count, JSON.stringify(user));
    if (count % slice !== 0) continue;
    yield Buffer.from(lines);
    lines = '';
    await new Promise((resolve) => setImmediate(resolve));
  }
  yield Buffer.from(lines + recordLine(count + 1, JSON.stringify({ users: count })));
}

function usersOf(text: string, path: string): readonly SeenUser[] {
  const lines = text.split('\n');
  const rest = lines.pop();
  const header = readHeader(lines[0] ?? '');
  if (typeof header === 'string') throw damaged(path, 1, header);
  if (header.kind !== kind || header.first !== 1) throw damaged(path, 1, 'it is not the first line of users seen');
  const records = lines.slice(1).map((line, i) => {
    const read = readRecord(line, i + 1);
    if (typeof read === 'string') throw damaged(path, i + 2, read);
    return read.record as Partial<SeenUser> | { readonly users: number };
  });
  const end = records.pop();
  if (rest !== '' || end === undefined || !('users' in end) || end.users !== records.length) {
    throw damaged(path, lines.length + 1, 'the end of the file is missing');
  }
  return records.map((record, i) => {
    if (!isSeen(record)) throw damaged(path, i + 2, 'it is not a user who was seen');
    return record;
  });
}

function isSeen(record: object): record is SeenUser {
  const { id, createdAt, lastSeen } = record as Partial<SeenUser>;
  const isWhole = typeof id === 'string' && typeof createdAt === 'string' && typeof lastSeen === 'number';
  return isWhole && !Number.isNaN(Date.parse(createdAt));
}

function damaged(path: string, line: number, what: string): SluiceError {
  return new SluiceError(
    'UNUSABLE_STATE',
    `${path} is damaged: line ${line}: ${what}. It was left as it is. To start without it, move it away: mv '${path}' '${path}.damaged'`,
  );
}
