import { closest, distance } from 'fastest-levenshtein';
import { SluiceError, show } from '../errors.js';
import { cut, decode, fold, hasDotSegments, resolveDots, withoutParameters } from './reading-steps.js';

/** A Pattern is what a rule's `match` says, in the one spelling that all spellings of it share. */
export interface Pattern {
  /** In upper case and without HEAD, which counts as GET. Empty: any method. */
  readonly methods: readonly string[];
  /** Static text in lower case, `:` for any one segment, and as the last `*` for everything from there on. */
  readonly segments: readonly string[];
}

/** What Node's HTTP parser lets through: a rule for another method would never match. */
const known = `ACL BIND CHECKOUT CONNECT COPY DELETE GET HEAD LINK LOCK M-SEARCH MERGE MKACTIVITY MKCALENDAR MKCOL MOVE
  NOTIFY OPTIONS PATCH POST PROPFIND PROPPATCH PURGE PUT QUERY REBIND REPORT SEARCH SOURCE SUBSCRIBE TRACE UNBIND UNLINK
  UNLOCK UNSUBSCRIBE`.split(/\s+/);

const supported =
  'A segment is text, ":name" for any one segment, or "*", which as the last stands for everything below';

/**
 * Reads a rule's `match`: `'/path'`, `'POST /path'` or `'GET, PUT /path'`.
 * @throws SluiceError for a syntax that is not supported, and for what no request could ever match.
 */
export function parsePattern(match: string, where: string): Pattern {
  if (typeof match !== 'string' || match === '') {
    throw refusal(`${where}: "match" must be a route like "POST /login" or "/files/*", not ${show(match)}.`);
  }
  const parts = /^(?:([^/]*[^/\s])\s+)?(\/.*|\*)$/s.exec(match);
  if (!parts || match !== match.trimEnd()) {
    throw refusal(`${where}: ${show(match)} is no route. ${remedyForShape(match)}`);
  }
  const path = parts[2]!;
  return {
    methods: parseMethods(parts[1], path, match, where),
    segments: path === '*' ? ['*'] : parsePath(path, match, where),
  };
}

function remedyForShape(match: string): string {
  const words = match.trim().split(/\s+/);
  const path = words.pop()!;
  const rooted = path.startsWith('/') ? path : `/${path}`;
  return `Write the method, if any, one space, and a path that begins with a slash: ${show([...words, rooted].join(' '))}.`;
}

function parseMethods(text: string | undefined, path: string, match: string, where: string): readonly string[] {
  if (text === undefined || text === '*') return [];
  const methods = new Set<string>();
  for (const word of text.split(',')) {
    const method = word.trim().toUpperCase();
    if (!known.includes(method)) throw refusal(`${where}: ${show(match)}: ${remedyForMethod(word.trim(), path)}`);
    methods.add(method);
  }
  if (!methods.delete('HEAD') || methods.size > 0) return [...methods];
  throw refusal(`${where}: ${show(match)} would never match: HEAD counts as GET. Write ${show(`GET ${path}`)}.`);
}

function remedyForMethod(method: string, path: string): string {
  if (method === '') return 'a method is missing beside the comma.';
  if (['ALL', 'ANY'].includes(method.toUpperCase())) {
    return `for any method leave the method out: ${show(path)}.`;
  }
  if (/^[A-Za-z-]+([|\s]+[A-Za-z-]+)+$/.test(method)) {
    return `put commas between methods: ${show(`${method.split(/[|\s]+/).join(',')} ${path}`)}.`;
  }
  const near = closest(method.toUpperCase(), known);
  return distance(method.toUpperCase(), near) <= 2
    ? `there is no method ${show(method)}. Did you mean ${show(near)}?`
    : `there is no method ${show(method)}. Methods look like "GET" or "GET,POST".`;
}

function parsePath(path: string, match: string, where: string): readonly string[] {
  const segments = split(path);
  const odd = segments.find((segment) => !isSupported(segment));
  if (odd !== undefined) {
    throw refusal(`${where}: ${show(match)}: the segment ${show(odd)} is not supported. ${remedyForSegment(odd)}`);
  }
  const canonical = spellOut(path);
  if (canonical !== path) {
    const before = match.slice(0, match.length - path.length);
    const remedy = split(canonical).every(isSupported)
      ? `Write ${show(before + canonical)}.`
      : 'Write ":name" for a segment that has such characters.';
    throw refusal(
      `${where}: ${show(match)} would never match: requests are matched as they are meant, without queries, parameters, dot segments and escapes. ${remedy}`,
    );
  }
  return erase(segments);
}

/** A `?` that begins a query is left to {@link spellOut}, which knows a better remedy. */
function isSupported(segment: string): boolean {
  if (/^:[A-Za-z_]\w*$/.test(segment) || segment === '*') return true;
  return !/[:*()+{}]|\?$/.test(segment);
}

function remedyForSegment(segment: string): string {
  if (/^:\w+\?$/.test(segment)) return `${supported}: write two rules, with the segment and without.`;
  const rest = /^(:\w+[*+]|\*\w+|\*\*|\(\.\*\))$/.test(segment);
  return rest ? `${supported}: write "*".` : `${supported}: write ":name" or "*" in its place.`;
}

/** The path as requests for it are read: without query, parameters, escapes and dot segments. */
function spellOut(path: string): string {
  let text = withoutParameters(cut(path, /[?#]/));
  for (let last = ''; last !== text; ) {
    last = text;
    text = withoutParameters(decode(text, 'none').replaceAll('\\', '/'));
  }
  return hasDotSegments(text) ? resolveDots(text, true) : text;
}

/** Sorts patterns that match one path, the most specific first: text, parameter, wildcard; then those with a method. */
export function orderOf({ methods, segments }: Pattern): string {
  const kinds = segments.map((segment) => (segment === '*' ? 2 : segment === ':' ? 1 : 0));
  return `${kinds.join('')}${methods.length > 0 ? '' : '/'}`;
}

/**
 * Reads the pattern of a route as a framework tells it, with the regular expressions and named wildcards that it may
 * have. `undefined` where no rule could have the same.
 */
export function parseRoute(route: string): readonly string[] | undefined {
  if (route === '*') return ['*'];
  if (!route.startsWith('/')) return undefined;
  const segments = split(route).map((segment) => {
    if (/^:\w+(\(.*\))?$/.test(segment)) return ':name';
    return /^\*\w*$/.test(segment) ? '*' : segment;
  });
  return segments.every(isSupported) ? erase(segments) : undefined;
}

function split(path: string): string[] {
  return path.split('/').filter((segment) => segment !== '');
}

/** Makes everything that stands for one segment the same. */
function erase(segments: readonly string[]): readonly string[] {
  return segments.map((segment, i) => {
    if (segment.startsWith(':')) return ':';
    if (segment === '*') return i === segments.length - 1 ? '*' : ':';
    return fold(segment);
  });
}

function refusal(message: string): SluiceError {
  return new SluiceError('INVALID_OPTION', message);
}
