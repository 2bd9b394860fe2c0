const newline = Buffer.from('\r\n');

/** Frames cuts a stream of the Redis protocol, of either version, into whole commands or whole replies. */
export class Frames {
  #rest: Buffer = Buffer.alloc(0);

  /** Takes what has arrived and answers with the frames that are complete now. */
  push(bytes: Buffer): readonly Buffer[] {
    this.#rest = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    const frames: Buffer[] = [];
    let from = 0;
    for (;;) {
      const end = endOf(this.#rest, from);
      if (end === undefined) break;
      frames.push(this.#rest.subarray(from, end));
      from = end;
    }
    this.#rest = this.#rest.subarray(from);
    return frames;
  }
}

/** The name of a command in upper case, such as `EVALSHA`. */
export function commandOf(request: Buffer): string {
  const lines = request.toString('latin1').split('\r\n');
  // Without the star, it is what people type by hand: words in a line.
  const name = request[0] === 0x2a ? lines[2] : lines[0]?.split(' ')[0];
  return (name ?? '').toUpperCase();
}

/** Whether a reply was not asked for: what version 3 of the protocol sends on its own. */
export function isPush(reply: Buffer): boolean {
  return reply[0] === 0x3e;
}

/** Where the frame that begins at `from` ends; `undefined` if it is not complete. */
function endOf(bytes: Buffer, from: number): number | undefined {
  const line = bytes.indexOf(newline, from);
  if (line < 0) return undefined;
  const end = line + newline.length;
  const type = String.fromCharCode(bytes[from]!);
  const size = Number(bytes.toString('latin1', from + 1, line));
  if ('$!='.includes(type)) {
    const blobEnd = size < 0 ? end : end + size + newline.length;
    return blobEnd <= bytes.length ? blobEnd : undefined;
  }
  if ('*~>%'.includes(type)) return endOfAll(bytes, end, type === '%' ? 2 * size : size);
  return end;
}

function endOfAll(bytes: Buffer, from: number, count: number): number | undefined {
  let end: number | undefined = from;
  for (let index = 0; index < count && end !== undefined; index++) end = endOf(bytes, end);
  return end;
}
