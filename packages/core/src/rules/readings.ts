import { SluiceError } from '../errors.js';
import { cut, decode, fold, hasDotSegments, type Kept, resolveDots, withoutParameters } from './reading-steps.js';

/**
 * Every canonical path that some framework, or a server behind it, could take a request target for: lower case, one
 * leading slash, no empty segments. A clean target has one reading; see {@link cleanReading}.
 *
 * They differ in whether, how often and how far escapes are decoded, in what `;` and `#` mean, in whether dot segments
 * are resolved and a backslash is a slash, and in where the path of an absolute target begins.
 * @throws SluiceError for a target that could be read in more ways than can be told in bounded time. The error carries
 * `status` and `statusCode` 400, for frameworks to answer with.
 */
export function readings(target: string): readonly string[] {
  const clean = cleanReading(target);
  return clean === undefined ? allReadings(target) : [clean];
}

// What a character of a target is to the scan below. Whatever is not listed makes a target unclean.
const plain = 1;
const capital = 2;
const slash = 3;
const dot = 4;
const end = 5;

const kinds = new Uint8Array(128);
for (const character of "abcdefghijklmnopqrstuvwxyz0123456789-_~!$&'()*+,=:@") kinds[character.charCodeAt(0)] = plain;
for (const character of 'ABCDEFGHIJKLMNOPQRSTUVWXYZ') kinds[character.charCodeAt(0)] = capital;
kinds[0x2f] = slash;
kinds[0x2e] = dot;
kinds[0x3f] = end;

/** The one reading of a target that everybody reads alike, or `undefined`. */
export function cleanReading(target: string): string | undefined {
  if (target.charCodeAt(0) !== 0x2f) return undefined;
  let folded = false;
  let dots = false;
  let before = slash;
  let at = 1;
  for (; at < target.length; at++) {
    const code = target.charCodeAt(at);
    const kind = code < 128 ? kinds[code]! : 0;
    if (kind === plain) {
      dots = false;
    } else if (kind === slash) {
      if (before === slash || dots) return undefined;
    } else if (kind === dot) {
      // Only dots since the slash: that may become a dot segment.
      dots = dots || before === slash;
    } else if (kind === capital) {
      dots = false;
      folded = true;
    } else if (kind === end) {
      break;
    } else {
      return undefined;
    }
    before = kind;
  }
  if (dots) return undefined;
  if (before === slash && at > 1) at--;
  const path = at === target.length ? target : target.slice(0, at);
  return folded ? path.toLowerCase() : path;
}

/** Characters that may be worked through for one target: enough for 16 KB of escapes, or of dot segments. */
const budget = 163_840;

/** Every reading of any target, clean or not. */
export function allReadings(target: string): readonly string[] {
  let spent = 0;
  /** Applies one step to every text found so far. */
  function each(texts: ReadonlySet<string>, step: (text: string, add: Add) => void): Set<string> {
    const found = new Set<string>();
    const add: Add = (text) => {
      if (found.has(text)) return;
      // A text costs something even when it is short.
      spent += text.length + 64;
      if (spent > budget) throw unreadable(target);
      found.add(text);
    };
    for (const text of texts) step(text, add);
    return found;
  }

  const paths = each(new Set([target]), origins);
  const written = each(each(paths, separators), earlyDots);
  const decoded = each(written, decodings);
  // Decoding may have brought new separators to light.
  const texts = each(each(decoded, slashes), separators);
  return [...each(texts, dotSegments)];
}

type Add = (text: string) => void;

/** The texts that the target's path may be, up to its query: of `/path`, `http://host/path` and `//host/path`. */
function origins(target: string, add: Add): void {
  const spellings = new Set([target, target.trim(), target.replace(/[\t\n\r]/g, '')]);
  for (const spelling of spellings) {
    const path = cut(spelling, /\?/);
    const scheme = /^[a-z][a-z0-9+.-]*:/i.exec(path);
    const rest = scheme ? path.slice(scheme[0].length) : path;
    if (!scheme || !/^[/\\]{2}/.test(rest)) add(rooted(rest));
    if (!/^[/\\]{2}/.test(rest)) continue;
    // In WHATWG URLs any number of slashes opens the authority, and elsewhere two: then it may be empty.
    add(rooted(rest.replace(/^[/\\]+[^/\\#]*/, '')));
    if (scheme) add(rooted(rest.replace(/^[/\\]{2}[^/\\#]*/, '')));
  }
}

function rooted(path: string): string {
  return path.charCodeAt(0) === 0x2f ? path : `/${path}`;
}

/** `?` and `#` end the path or do not; `;` opens the parameters of a segment, or a query, or is a character. */
function separators(path: string, add: Add): void {
  add(path);
  const bare = cut(path, /[?#]/);
  add(bare);
  if (!path.includes(';')) return;
  add(withoutParameters(path));
  add(withoutParameters(bare));
  add(cut(path, /;/));
}

/** A proxy may resolve dot segments before the escapes around them are decoded. */
function earlyDots(path: string, add: Add): void {
  add(path);
  if (!path.includes('%') || !hasDotSegments(path)) return;
  add(resolveDots(path, false));
  add(resolveDots(path, true));
}

const escapedSlash = /%(?:25)*2f/i;
const escapedDelimiter = /%(?:25)*(?:3[bfad]|40|2[46bc3])/i;

/** As written, and decoded up to three times. Servers that route before they decode keep some escapes. */
function decodings(path: string, add: Add): void {
  add(path);
  decodeRepeatedly(path, 'none', add);
  if (escapedSlash.test(path)) decodeRepeatedly(path, 'slash', add);
  if (escapedDelimiter.test(path)) decodeRepeatedly(path, 'delimiters', add);
}

function decodeRepeatedly(path: string, kept: Kept, add: Add): void {
  let text = path;
  for (let round = 0; round < 3; round++) {
    const decoded = decode(text, kept);
    if (decoded === text) return;
    text = decoded;
    add(text);
  }
}

function slashes(path: string, add: Add): void {
  add(path);
  if (path.includes('\\')) add(path.replaceAll('\\', '/'));
}

function dotSegments(path: string, add: Add): void {
  add(fold(rooted(path)));
  if (!hasDotSegments(path)) return;
  add(fold(resolveDots(path, false)));
  add(fold(resolveDots(path, true)));
}

function unreadable(target: string): SluiceError {
  const error = new SluiceError(
    'INVALID_OPTION',
    `The request target (${target.length} characters) can be read in too many ways to say which rule applies. Refuse it: no link has such a path.`,
  );
  return Object.assign(error, { status: 400, statusCode: 400 });
}
