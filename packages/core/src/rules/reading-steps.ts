/** Which escapes a decoder leaves as they are: none, `%2f`, or all that stand for a delimiter of RFC 3986. */
export type Kept = 'none' | 'slash' | 'delimiters';

const slash = 0x2f;
const percent = 0x25;
const delimiters = new Set([...';/?:@&=+$,#'].map((delimiter) => delimiter.charCodeAt(0)));

/**
 * Decodes percent-escapes once, as UTF-8; escapes that are none, or are no UTF-8, stay as written. The bytes from 0x80
 * on may also stand bare: that is how Node shows a target whose client has not escaped them.
 */
export function decode(path: string, kept: Kept): string {
  let decoded = '';
  let copied = 0;
  let at = next(path, 0);
  while (at < path.length) {
    const size = sizeAt(path, at);
    const first = byteAt(path, at);
    if (first < 0) {
      at = next(path, at + 1);
      continue;
    }
    const more = first < 0x80 ? 0 : continuationBytes(first);
    let code = more === 0 ? first : first & (0x3f >> more);
    let end = at + size;
    let left = more;
    for (; left > 0; left--) {
      const byte = byteAt(path, end);
      if ((byte & 0xc0) !== 0x80) break;
      code = (code << 6) | (byte & 0x3f);
      end += sizeAt(path, end);
    }
    const stays =
      left > 0 ||
      more < 0 ||
      code < smallest[more]! ||
      code > 0x10ffff ||
      (code >= 0xd800 && code <= 0xdfff) ||
      (kept === 'slash' && code === slash) ||
      (kept === 'delimiters' && delimiters.has(code));
    if (stays) {
      at = next(path, at + size);
      continue;
    }
    decoded += path.slice(copied, at) + String.fromCodePoint(code);
    copied = end;
    at = next(path, end);
  }
  return copied === 0 ? path : decoded + path.slice(copied);
}

/** The smallest code point that needs so many continuation bytes: anything below is an overlong form, and invalid. */
const smallest: readonly number[] = [0, 0x80, 0x800, 0x10000];

function continuationBytes(first: number): number {
  if (first >= 0xc2 && first < 0xe0) return 1;
  if (first >= 0xe0 && first < 0xf0) return 2;
  return first >= 0xf0 && first < 0xf5 ? 3 : -1;
}

/** The place of the next escape or bare byte. */
function next(path: string, from: number): number {
  for (let at = from; at < path.length; at++) {
    const code = path.charCodeAt(at);
    if (code === percent || (code >= 0x80 && code <= 0xff)) return at;
  }
  return path.length;
}

function sizeAt(path: string, at: number): number {
  return path.charCodeAt(at) === percent ? 3 : 1;
}

/** The byte that an escape or a bare byte stands for, or -1. */
function byteAt(path: string, at: number): number {
  if (at >= path.length) return -1;
  const code = path.charCodeAt(at);
  if (code !== percent) return code >= 0x80 && code <= 0xff ? code : -1;
  const high = digit(path, at + 1);
  const low = digit(path, at + 2);
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

function digit(path: string, at: number): number {
  const code = at < path.length ? path.charCodeAt(at) : 0;
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  const letter = code | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1;
}

/** Cuts the path at the first of the characters in `delimiters`, if there is one. */
export function cut(path: string, delimiters: RegExp): string {
  const at = path.search(delimiters);
  return at < 0 ? path : path.slice(0, at);
}

/** Cuts the parameters off every segment: `/a;v=1/b;x` is `/a/b`. RFC 3986, section 3.3. */
export function withoutParameters(path: string): string {
  return path.replace(/;[^/]*/g, '');
}

const dotSegment = /\/(?:\.|%2e){1,2}(?:\/|$)/i;

/** Whether the path has a segment `.` or `..`; a dot may be escaped, as in WHATWG URLs. */
export function hasDotSegments(path: string): boolean {
  return dotSegment.test(path);
}

/**
 * Resolves the segments `.` and `..`. `merged` tells whether double slashes have been made one before, as nginx does, or
 * there are empty segments for `..` to take away, as in RFC 3986, section 5.2.4.
 */
export function resolveDots(path: string, merged: boolean): string {
  const resolved: string[] = [];
  const segments = path.split('/');
  for (let i = 1; i < segments.length; i++) {
    const segment = segments[i]!;
    const dots = segment.length <= 6 ? countDots(segment) : 0;
    if (dots === 2) resolved.pop();
    else if (dots === 0 && !(merged && segment === '')) resolved.push(segment);
  }
  return `/${resolved.join('/')}`;
}

/** 1 for `.`, 2 for `..`, however they are escaped, and 0 for any other segment. */
function countDots(segment: string): number {
  let dots = 0;
  for (let at = 0; at < segment.length; dots++) {
    if (segment.charCodeAt(at) === 0x2e) at += 1;
    else if (byteAt(segment, at) === 0x2e) at += 3;
    else return 0;
  }
  return dots > 2 ? 0 : dots;
}

/** Folds what makes no difference to any reading: case, double slashes, slashes at the end. */
export function fold(path: string): string {
  const folded = path.toLowerCase();
  // A loop and not one expression: `/+$` tries every run of slashes in the path.
  let end = folded.length;
  while (end > 1 && folded.charCodeAt(end - 1) === slash) end--;
  const trimmed = folded.slice(0, end);
  return trimmed.includes('//') ? trimmed.replace(/\/{2,}/g, '/') : trimmed;
}
