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

/** What is to stand in a journal's file. */
export interface JournalForm<T> {
  /** What it is a journal of, in small letters: no file of another kind is taken for it. */
  readonly kind: string;
  /** Whether something is a record of that kind. @default any is */
  readonly isRecord?: (record: unknown) => record is T;
}

const newline = 0x0a;

/**
 * Reads a journal. A last line that a crash has cut short is left out; its record was never acknowledged.
 * @throws SluiceError `UNUSABLE_STATE` for any other damage, with the line and the byte where it begins, and for a journal
 * of another kind.
 */
export function readJournal<T>(path: string, bytes: Buffer, { kind, isRecord }: JournalForm<T>): JournalContents<T> {
  const isOne = (record: unknown): record is T => isRecord === undefined || isRecord(record);
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
      if (header.kind !== kind) throw anotherKind(path, header.kind, kind);
      next = header.first;
    } else {
      const read = readRecord(text, next);
      if (typeof read === 'string') throw damage(path, line, at, read);
      if (!isOne(read.record)) throw damage(path, line, at, notOne(kind));
      records.push(read.record);
      next++;
    }
    at = end + 1;
  }
  // A journal comes to be with a whole first line, so that none was ever without.
  if (next === undefined) throw damage(path, 1, 0, 'it is not the first line of a journal');

  const torn = bytes.subarray(at);
  const whole = torn.length > 0 ? readRecord(torn.toString(), next) : '';
  if (typeof whole !== 'string') {
    if (!isOne(whole.record)) throw damage(path, records.length + 2, at, notOne(kind));
    records.push(whole.record);
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

function notOne(kind: string): string {
  return `it is not a record of a journal of ${kind}`;
}

function anotherKind(path: string, found: string, expected: string): SluiceError {
  return new SluiceError(
    'UNUSABLE_STATE',
    `${path} is a journal of ${found}, where one of ${expected} is expected (line 1). Nothing has been changed. Put the ` +
      `journal of ${expected} in its place; or, to begin anew without what that holds, move this file away.`,
  );
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
