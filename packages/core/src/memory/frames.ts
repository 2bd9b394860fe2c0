import { SluiceError } from '../errors.js';
import { crc32 } from './checksum.js';

/** What every dump begins with, and the number of its format. */
const magic = Uint8Array.from([...'sluice\0'].map((character) => character.charCodeAt(0)));
const format = 2;

/** Bytes from which on a frame is handed out. */
const fullFrom = 65_536;
/** No frame is as long as this, in bytes; a length beyond is damage. */
const longest = 2 ** 20;
/** Bytes before the content of a frame (its length), and behind it (the checksum of all up to there). */
const lengthSize = 4;
const checksumSize = 4;

/**
 * A FrameWriter writes numbers as a sequence of frames: the length of the content, the content, and the CRC-32 of every
 * byte of the dump up to there, but for the checksums themselves: after its own checksum, that of any bytes is the same.
 * So what is cut, flipped or put elsewhere is found. All is little endian.
 */
export class FrameWriter {
  #bytes = new Uint8Array(2 * fullFrom);
  #view = new DataView(this.#bytes.buffer);
  #at = lengthSize;
  #checksum = 0;

  /** What stands before the first frame. */
  begin(): Uint8Array {
    const bytes = Uint8Array.from([...magic, format]);
    this.#checksum = crc32(bytes);
    return bytes;
  }

  /** Whether it is time to take the frame. */
  get isFull(): boolean {
    return this.#at >= fullFrom;
  }

  get isEmpty(): boolean {
    return this.#at === lengthSize;
  }

  /** The frame written so far; an empty one ends the dump. */
  take(): Uint8Array {
    const end = this.#at;
    this.#view.setUint32(0, end - lengthSize, true);
    this.#checksum = crc32(this.#bytes.subarray(0, end), this.#checksum);
    this.#reserve(checksumSize);
    this.#view.setUint32(end, this.#checksum, true);
    const frame = this.#bytes.subarray(0, end + checksumSize);
    this.#bytes = new Uint8Array(2 * fullFrom);
    this.#view = new DataView(this.#bytes.buffer);
    this.#at = lengthSize;
    return frame;
  }

  byte(value: number): void {
    const at = this.#reserve(1);
    this.#view.setUint8(at, value);
  }

  /** A signed or unsigned 32-bit integer. */
  word(value: number): void {
    const at = this.#reserve(4);
    this.#view.setUint32(at, value, true);
  }

  float(value: number): void {
    const at = this.#reserve(8);
    this.#view.setFloat64(at, value, true);
  }

  text(value: string): void {
    this.word(value.length);
    const at = this.#reserve(2 * value.length);
    for (let i = 0; i < value.length; i++) this.#view.setUint16(at + 2 * i, value.charCodeAt(i), true);
  }

  #reserve(size: number): number {
    const at = this.#at;
    this.#at += size;
    if (this.#at + checksumSize > this.#bytes.length) {
      const bytes = new Uint8Array(2 * (this.#at + checksumSize));
      bytes.set(this.#bytes);
      this.#bytes = bytes;
      this.#view = new DataView(bytes.buffer);
    }
    return at;
  }
}

/** A FrameReader reads what a FrameWriter wrote, however it is cut into chunks; every fault is told with its position. */
export class FrameReader {
  readonly #chunks: Iterator<Uint8Array>;
  #chunk: Uint8Array = new Uint8Array();
  #chunkAt = 0;
  /** Bytes of the dump that have been read. */
  #read = 0;
  #checksum = 0;
  #view = viewOf(new Uint8Array());
  /** Where in the dump the content of the present frame begins, and how far it has been read. */
  #frame = 0;
  #at = 0;

  constructor(chunks: Iterable<Uint8Array>) {
    this.#chunks = chunks[Symbol.iterator]();
  }

  /** Where the next value is, in bytes from the beginning. */
  get position(): number {
    return this.#frame + this.#at;
  }

  /** Reads what stands before the first frame. */
  begin(): void {
    const bytes = this.#take(magic.length + 1);
    const wrong = magic.findIndex((byte, i) => byte !== bytes[i]);
    if (wrong >= 0) throw this.fault('this is no dump of a MemoryStore', wrong);
    if (bytes[magic.length] !== format) {
      throw this.fault(`its format is ${bytes[magic.length]}, and this version knows ${format} only`, magic.length);
    }
    this.#checksum = crc32(bytes);
  }

  byte(): number {
    const at = this.#next(1);
    return this.#view.getUint8(at);
  }

  word(): number {
    const at = this.#next(4);
    return this.#view.getUint32(at, true);
  }

  float(): number {
    const at = this.#next(8);
    const value = this.#view.getFloat64(at, true);
    if (Number.isSafeInteger(value)) return value;
    throw this.fault(`a whole number was expected, not ${value}`, this.position - 8);
  }

  text(): string {
    const length = this.word();
    const at = this.#next(2 * length);
    let text = '';
    for (let i = 0; i < length; i++) text += String.fromCharCode(this.#view.getUint16(at + 2 * i, true));
    return text;
  }

  /** Makes sure that all has been read, and that nothing follows. */
  end(): void {
    if (this.#at < this.#view.byteLength) throw this.fault('there is more in it than it should hold');
    const at = this.#read;
    if (this.#nextFrame() > 0) throw this.fault('there is more in it than it should hold', at);
    const end = this.#read;
    if (this.#fill()) throw this.fault('something follows its end', end);
  }

  fault(what: string, position = this.position): SluiceError {
    return new SluiceError(
      'UNUSABLE_STATE',
      `A dump cannot be restored: at byte ${position}, ${what}. Nothing was restored. ` +
        'Restore a whole dump, or start without one: what the keys have taken is forgotten then.',
    );
  }

  #next(size: number): number {
    // No value stands in two frames, so that the frame changes here or nowhere.
    if (this.#at === this.#view.byteLength && this.#nextFrame() === 0) throw this.fault('it ends too soon');
    if (this.#at + size > this.#view.byteLength) throw this.fault('a value is cut off');
    const at = this.#at;
    this.#at += size;
    return at;
  }

  #nextFrame(): number {
    const start = this.#read;
    const length = this.#take(lengthSize, start);
    const size = viewOf(length).getUint32(0, true);
    if (size > longest) throw this.fault(`a part claims to have ${size} bytes`, start);
    const content = this.#take(size, start);
    const found = this.#take(checksumSize, start);
    const checksum = crc32(content, crc32(length, this.#checksum));
    if (viewOf(found).getUint32(0, true) !== checksum) {
      throw this.fault(`a part of ${size + lengthSize + checksumSize} bytes begins whose checksum is wrong`, start);
    }
    this.#checksum = checksum;
    this.#view = viewOf(content);
    this.#frame = start + lengthSize;
    this.#at = 0;
    return size;
  }

  /** The next bytes, of the part that begins at `start`, in an array that nobody writes to while they are used. */
  #take(size: number, start = 0): Uint8Array {
    const bytes = new Uint8Array(size);
    for (let filled = 0; filled < size; ) {
      if (!this.#fill()) {
        throw this.fault(`it is cut off, in the part that begins at byte ${start}`, this.#read);
      }
      const part = this.#chunk.subarray(this.#chunkAt, this.#chunkAt + size - filled);
      bytes.set(part, filled);
      filled += part.length;
      this.#chunkAt += part.length;
      this.#read += part.length;
    }
    return bytes;
  }

  /** Whether there is a byte left. */
  #fill(): boolean {
    while (this.#chunkAt === this.#chunk.length) {
      const { value, done } = this.#chunks.next();
      if (done) return false;
      this.#chunk = value;
      this.#chunkAt = 0;
    }
    return true;
  }
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
