import { createReadStream, fstatSync, statSync } from 'node:fs';
import { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { type AccessLog, AccessLogBuilder, type ClientKind } from './access-log.js';
import { visible } from './visible.js';

/** An InputError says why a log cannot be played. */
export class InputError extends Error {
  override readonly name = 'InputError';
}

export interface ReadOptions {
  /** @default 'ip' */
  by?: ClientKind;
  /** Hears how many bytes of the input have been read; of how many in all, where that is known. */
  onProgress?: ((done: number, total: number | undefined) => void) | undefined;
}

/** The longest line, in bytes. Of a longer one only the beginning is kept, which is no log line. */
const longestLine = 8 * 1024 * 1024;

/**
 * Reads an access log, plain or gzipped, from a file; `-` is standard input.
 * @throws InputError for what cannot be read, and for a log without a single request.
 */
export async function readLog(file: string, options: ReadOptions = {}): Promise<AccessLog> {
  const { by = 'ip', onProgress } = options;
  const name = file === '-' ? 'standard input' : visible(file);
  const builder = new AccessLogBuilder(by);
  let [read, unpacked] = [0, 0];
  try {
    const { stream, total } = open(file);
    const lines = new LineSplitter(builder);
    const counted = async function* () {
      for await (const chunk of stream) {
        read += chunk.length;
        yield chunk as Buffer;
        onProgress?.(read, total);
      }
    };
    await unpack(counted(), (chunk) => {
      unpacked += chunk.length;
      lines.push(chunk);
    });
    lines.end();
  } catch (error) {
    throw new InputError(inputProblem(error as NodeJS.ErrnoException, name, builder.size), { cause: error });
  }
  if (unpacked === 0) throw new InputError(`${name} is empty.`);
  if (builder.size === 0) throw new InputError(nothingToPlay(name, builder));
  return builder.finish();
}

/** Says what is wrong with an input, from the error that reading it gave after so many requests. */
export function inputProblem(error: NodeJS.ErrnoException, name: string, requests: number): string {
  if (error.code?.startsWith('Z_')) {
    const [what, remedy] =
      error.code === 'Z_BUF_ERROR' ? ['ends too early', 'what is there'] : ['is damaged', 'what is left of it'];
    return (
      `The gzip data of ${name} ${what}: at least ${requests} requests could be read, and none was played. ` +
      `To play ${remedy}, unpack it yourself: gzip -dc ${name === 'standard input' ? '…' : name} | sluice-replay -`
    );
  }
  if (error.code === 'ENOENT') return `There is no file ${name}.`;
  if (error.code === 'EISDIR') return `${name} is a directory. Name one log file in it.`;
  if (error.code === 'EACCES' || error.code === 'EPERM') return `No permission to read ${name}.`;
  return `${name} cannot be read: ${error.message}`;
}

function nothingToPlay(name: string, { malformed }: AccessLogBuilder): string {
  const first = malformed.first[0];
  if (first === undefined) return `${name} holds empty lines only.`;
  return (
    `${name} holds no line in Common or Combined Log Format. ` +
    `The first of ${malformed.count} that are something else is line ${first.line}: ${visible(first.text)}`
  );
}

function open(file: string): { stream: Readable; total: number | undefined } {
  const stats = file === '-' ? fstatSync(0) : statSync(file);
  // Node takes a directory on standard input for an empty stream.
  if (stats.isDirectory()) throw Object.assign(new Error('is a directory'), { code: 'EISDIR' });
  return {
    stream: file === '-' ? process.stdin : createReadStream(file, { highWaterMark: 256 * 1024 }),
    total: stats.isFile() ? stats.size : undefined,
  };
}

/** Hands plain text on and unpacks gzip, known by its first two bytes: names lie, and a pipe has none. */
async function unpack(chunks: AsyncGenerator<Buffer>, take: (chunk: Buffer) => void): Promise<void> {
  let head: Buffer = Buffer.alloc(0);
  while (head.length < 2) {
    const { value, done } = await chunks.next();
    if (done) break;
    head = Buffer.concat([head, value]);
  }
  const source = Readable.from(
    (async function* () {
      yield head;
      yield* chunks;
    })(),
    { objectMode: false },
  );
  // Takes chunks as they come: what waits in a stream is lost when it fails, and would not be counted.
  const sink = new Writable({
    write(chunk, _, taken) {
      take(chunk);
      taken();
    },
  });
  if (head[0] === 0x1f && head[1] === 0x8b) await pipeline(source, createGunzip(), sink);
  else await pipeline(source, sink);
}

/** A LineSplitter cuts chunks into lines. */
class LineSplitter {
  readonly #builder: AccessLogBuilder;
  /** What came of a line that has not ended. */
  #parts: Buffer[] = [];
  #length = 0;
  #number = 0;

  constructor(builder: AccessLogBuilder) {
    this.#builder = builder;
  }

  push(chunk: Buffer): void {
    let start = 0;
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, start)) {
      this.#keep(chunk.subarray(start, end));
      this.#emit();
      start = end + 1;
    }
    if (start < chunk.length) this.#keep(chunk.subarray(start));
  }

  end(): void {
    if (this.#length > 0) this.#emit();
  }

  #keep(part: Buffer): void {
    if (this.#length <= longestLine) this.#parts.push(part);
    this.#length += part.length;
  }

  #emit(): void {
    const whole = this.#parts.length === 1 ? this.#parts[0]! : Buffer.concat(this.#parts);
    const tooLong = this.#length > longestLine;
    this.#parts = [];
    this.#length = 0;
    this.#number++;
    const length = whole.at(-1) === 13 ? whole.length - 1 : whole.length;
    if (tooLong) this.#builder.addMalformed(whole.toString('utf8', 0, 1_024), this.#number);
    else this.#builder.add(whole.toString('utf8', 0, length), this.#number);
  }
}
