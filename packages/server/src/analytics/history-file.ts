import { crc32 } from 'node:zlib';
import { SluiceError } from '@sluice/core';
import { Counts, type Delta, deltaOf } from './counts.js';
import { History } from './history.js';
import type { Minute } from './recorder.js';
import { parseSummary } from './sketch.js';
import { dimensions, emptyTally, readTally } from './tally.js';

const format = 'sluice-analytics 1';

/** Bytes, about, that are encoded at a time. */
const chunkSize = 65_536;

/**
 * Encodes a history and the minute that is being counted, as they are at the call, in small chunks. Every line is an
 * array in JSON behind its checksum; the first names the format, and the last counts those before it, so that a file
 * that was cut off is found.
 */
export function encodeHistory(history: History, current: Minute): Iterable<Uint8Array> {
  return chunksOf(linesOf(history.entries(), current.minute, deltaOf(current.counts), summariesOf(current)));
}

function summariesOf({ minute, sketches }: Minute) {
  return [
    ['slice', minute, 'requests', sketches.requests.summary()],
    ['slice', minute, 'refused', sketches.refused.summary()],
  ];
}

function* linesOf(
  { frames, slices }: ReturnType<History['entries']>,
  minute: number,
  delta: Delta,
  summaries: readonly (readonly unknown[])[],
): Iterable<readonly unknown[]> {
  for (const [at, frame] of frames.minute) yield ['minute', at, deltaOf(frame)];
  for (const [at, frame] of frames.hour) yield ['hour', at, deltaOf(frame)];
  for (const [at, { requests, refused }] of slices) {
    for (const summary of requests) yield ['slice', at, 'requests', summary];
    for (const summary of refused) yield ['slice', at, 'refused', summary];
  }
  // Not yet part of its hour.
  yield ['current', minute, delta];
  yield* summaries;
}

function* chunksOf(lines: Iterable<readonly unknown[]>): Iterable<Uint8Array> {
  let text = lineOf([format]);
  let count = 1;
  for (const line of lines) {
    text += lineOf(line);
    count++;
    if (text.length < chunkSize) continue;
    yield Buffer.from(text);
    text = '';
  }
  yield Buffer.from(text + lineOf(['end', count]));
}

function lineOf(line: readonly unknown[]): string {
  const json = JSON.stringify(line);
  return `${checksum(Buffer.from(json))} ${json}\n`;
}

function checksum(bytes: Uint8Array): string {
  return crc32(bytes).toString(16).padStart(8, '0');
}

/**
 * Reads what was encoded.
 * @throws SluiceError `UNUSABLE_STATE` that says what is wrong with the file called `name`, at which line and byte.
 */
export function decodeHistory(bytes: Uint8Array, name: string): History {
  const history = new History();
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let line = 0;
  let isComplete = false;
  for (let start = 0; start < buffer.length; line++) {
    const end = buffer.indexOf('\n', start);
    const wrong = end < 0 ? 'ends in the middle of it' : isComplete ? 'goes on behind its end' : undefined;
    if (wrong !== undefined) throw corrupt(name, line, start, wrong);
    const json = buffer.subarray(start + 9, end);
    if (buffer.toString('latin1', start, start + 9) !== `${checksum(json)} `) {
      throw corrupt(name, line, start, 'does not have the checksum that stands before it');
    }
    const value = JSON.parse(json.toString()) as readonly unknown[];
    if (line === 0 ? value[0] !== format : !read(value, line, history)) {
      throw corrupt(
        name,
        line,
        start,
        line === 0 ? `is not of the format '${format}'` : 'is none that this version knows',
      );
    }
    isComplete = value[0] === 'end';
    start = end + 1;
  }
  if (!isComplete) throw corrupt(name, line, buffer.length, 'is missing: it was cut off');
  return history;
}

/** Whether the line could be read. */
function read(value: readonly unknown[], line: number, history: History): boolean {
  const [kind, at, what, more] = value;
  if (kind === 'end') return at === line;
  if (!Number.isSafeInteger(at)) return false;
  if (kind === 'slice') {
    const summary = parseSummary(more);
    if (summary === undefined || (what !== 'requests' && what !== 'refused')) return false;
    history.addSlice(at as number, what, summary);
    return true;
  }
  const counts = parseDelta(what);
  if (counts === undefined) return false;
  if (kind === 'current') {
    if (!counts.isEmpty) history.addMinute(at as number, counts);
  } else if (kind === 'minute' || kind === 'hour') history.add(kind, at as number, counts);
  else return false;
  return true;
}

function parseDelta(value: unknown): Counts | undefined {
  const counts = new Counts();
  const tally = emptyTally();
  for (const by of dimensions) {
    const texts = (value as Partial<Delta> | null)?.[by];
    if (!Array.isArray(texts)) return undefined;
    for (let i = 0; i < texts.length; i += 2) {
      if (typeof texts[i] !== 'string' || !readTally(String(texts[i + 1]), tally)) return undefined;
      counts.addTally(by, texts[i], tally);
    }
  }
  return counts;
}

function corrupt(name: string, line: number, byte: number, what: string): SluiceError {
  return new SluiceError(
    'UNUSABLE_STATE',
    `${name} cannot be read: line ${line + 1}, at byte ${byte}, ${what}. Nothing was changed. Bring back a copy of the ` +
      'file; or move it away, and the analytics start empty: limits, rules and users are not in it.',
  );
}
