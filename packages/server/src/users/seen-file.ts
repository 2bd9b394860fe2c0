import { type Clock, type Logger, SluiceError } from '@sluice/core';
import { messageOf } from '@sluice/core/toolkit';
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

/** A SeenFile keeps who was seen over restarts, one user on a line. It is saved every minute, and at the end. */
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
  let lines = '';
  let count = 0;
  for (const user of users) {
    lines += `${JSON.stringify(user)}\n`;
    if (++count % slice !== 0) continue;
    yield Buffer.from(lines);
    lines = '';
    await new Promise((resolve) => setImmediate(resolve));
  }
  yield Buffer.from(lines);
}

function usersOf(text: string, path: string): readonly SeenUser[] {
  const lines = text.split('\n');
  if (lines.pop() !== '') throw damaged(path, lines.length + 1);
  return lines.map((line, i) => {
    const user = parse(line) as Partial<SeenUser> | undefined;
    const { id, createdAt, lastSeen } = user ?? {};
    const isWhole = typeof id === 'string' && typeof createdAt === 'string' && typeof lastSeen === 'number';
    if (!isWhole || Number.isNaN(Date.parse(createdAt))) throw damaged(path, i + 1);
    return { id, createdAt, lastSeen };
  });
}

function parse(line: string): unknown {
  try {
    return JSON.parse(line) ?? undefined;
  } catch {
    return undefined;
  }
}

function damaged(path: string, line: number): SluiceError {
  return new SluiceError(
    'UNUSABLE_STATE',
    `${path} is damaged at line ${line}, and was left as it is. To start without it, move it away: mv '${path}' '${path}.damaged'`,
  );
}
