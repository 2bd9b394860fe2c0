import { SluiceError } from '@sluice/core';
import { beginOf, readHeader, readRecord } from './journal-line.js';

/** What stands in a journal's file. */
export interface JournalContents<T> {
  readonly records: readonly T[];
  /** The number of the next record. */
  readonly next: number;
  /** Bytes up to the end of the last whole record. */
  readonly length: number;
  /** Whether the last record lacks nothing but the end of its line. */
  readonly lacksNewline: boolean;
}

const newline = 0x0a;

/**
 * Reads a journal. A last line that a crash has cut short is left out; its record was never acknowledged.
 * @throws SluiceError `UNUSABLE_STATE` for any other damage, with the line and the byte where it begins.
 */
export function readJournal<T>(path: string, bytes: Buffer): JournalContents<T> {
  const records: T[] = [];
  let next: number | undefined;
  let at = 0;
  for (let line = 1; ; line++) {
    const end = bytes.indexOf(newline, at);
    if (end < 0) break;
    const text = bytes.toString('utf8', at, end);
    // Bytes that are no UTF-8 are read as others, of which no checksum is right.
    if (next === undefined) {
      const header = readHeader(text);
      if (typeof header === 'string') throw damage(path, line, at, header);
      next = header;
    } else {
      const read = readRecord(text, next);
      if (typeof read === 'string') throw damage(path, line, at, read);
      records.push(read.record as T);
      next++;
    }
    at = end + 1;
  }
  // A journal comes to be with a whole first line, so that none was ever without.
  if (next === undefined) throw damage(path, 1, 0, 'it is not the first line of a journal');

  const torn = bytes.subarray(at);
  const whole = torn.length > 0 ? readRecord(torn.toString(), next) : '';
  if (typeof whole !== 'string') {
    records.push(whole.record as T);
    return { records, next: next + 1, length: bytes.length, lacksNewline: true };
  }
  if (!isCutShort(torn, next))
    throw damage(path, records.length + 2, at, 'it is not a record, nor the beginning of one');
  return { records, next, length: at, lacksNewline: false };
}

/** Whether a crash can have left this of a record's line: its beginning, and zeros where the disk had not got to it. */
function isCutShort(torn: Buffer, sequence: number): boolean {
  let { length } = torn;
  while (length > 0 && torn[length - 1] === 0) length--;
  const begin = Buffer.from(beginOf(sequence));
  const common = Math.min(begin.length, length);
  if (!torn.subarray(0, common).equals(begin.subarray(0, common))) return false;
  // A whole record with another byte than the end of its line behind it was acknowledged, and damaged since.
  return length === 0 || typeof readRecord(torn.toString('utf8', 0, length - 1), sequence) === 'string';
}

function damage(path: string, line: number, at: number, what: string): SluiceError {
  return new SluiceError(
    'UNUSABLE_STATE',
    `${path} is damaged: line ${line}, at byte ${at}: ${what}. Nothing has been changed. Put a backup in its place; or, ` +
      (at === 0
        ? 'to begin anew without what it holds, move it away.'
        : `to go on with what had been written before that line, keep a copy and cut the file off: truncate -s ${at} '${path}'.`),
  );
}
