import { addRoute, createRouter, findRoute } from 'rou3';
import { SluiceError, show } from '../errors.js';
import { Memo } from '../memo.js';
import { orderOf, parsePattern, parseRoute } from './pattern.js';
import { allReadings, cleanReading } from './readings.js';

/** A RouteEntry is one rule of a {@link RouteTable}. */
export interface RouteEntry<T> {
  /** `'/path'`, `'POST /path'` or `'GET,PUT /path'`. */
  readonly match: string;
  /** How errors name the entry, like `rules[3]`. */
  readonly where: string;
  readonly value: T;
}

/** A hit is an entry that has been found, with the answer for the usual request, which finds nothing else. */
interface Hit<T> {
  readonly entry: RouteEntry<T>;
  readonly alone: readonly [T];
  /** The lower, the more specific; of patterns that match the same request. */
  readonly order: string;
}

/** The entries of one path pattern by method; the empty method is any. */
type Hits<T> = Map<string, Hit<T>>;

/** What a route of the framework is to the table. */
interface KnownRoute<T> {
  /** The entries of the same pattern. */
  readonly hits: Hits<T>;
  /** The pattern as if it were a path, so that a param of the route is what no text of a rule is. */
  readonly path: string;
}

const nobody: readonly [undefined] = [undefined];
const foreign: KnownRoute<never> = { hits: new Map(), path: '' };
const withoutParams = { params: false } as const;

/**
 * RouteTable finds the most specific rule for a request, in a time that does not depend on how many there are. From the
 * left, text goes before `:param` and `:param` before `*`; of two rules for one path, the one that names the method.
 */
export class RouteTable<T> {
  readonly #router = createRouter<Hit<T>>();
  readonly #patterns = new Map<string, Hits<T>>();
  readonly #routes: Memo<KnownRoute<T>>;
  /** Static segments with characters that the router would read or spell differently, and what it knows them by. */
  readonly #odd = new Map<string, string>();
  /** Segments of the longest pattern. */
  #depth = 0;

  /** @throws SluiceError for patterns that are not supported, can never match, or are there twice. */
  constructor(entries: readonly RouteEntry<T>[]) {
    for (const entry of entries) this.#add(entry);
    this.#routes = new Memo((route) => {
      const segments = parseRoute(route);
      if (segments === undefined) return foreign;
      return {
        hits: this.#patterns.get(segments.join('/')) ?? foreign.hits,
        path: this.#spell(this.#start(`/${segments.join('/')}`)),
      };
    });
  }

  /**
   * The value of every rule that the request could be routed by, without repeats: usually one. `undefined` stands for no
   * rule. `target` is the request target as received, with its query; `route` is the pattern of the framework's route
   * where it is known.
   * @throws SluiceError for a target that cannot be read in bounded time; see `readings`.
   */
  find(method: string, target: string, route?: string): readonly (T | undefined)[] {
    const verb = canonicalMethod(method);
    const clean = cleanReading(target);
    const only = clean === undefined ? undefined : this.#hit(verb, this.#start(clean));
    const answer = clean === undefined ? this.#findAll(verb, target) : (only?.alone ?? nobody);
    if (route === undefined) return answer;
    const { hits, path } = this.#routes.get(route);
    const hit = hits.get(verb) ?? hits.get('');
    const verbatim = isVerbatim(target, clean);
    if (hit !== undefined) {
      // A route may serve paths that have a rule of their own.
      if (verbatim && only !== undefined && only.order <= hit.order) return answer;
      return withValue(answer, hit.entry.value);
    }
    // To a router that tells case or empty segments apart, what is spelled otherwise may have been another route.
    return path === '' || verbatim ? answer : withValue(answer, this.#hit(verb, path)?.entry.value);
  }

  #hit(method: string, path: string): Hit<T> | undefined {
    return findRoute(this.#router, method, path, withoutParams)?.data;
  }

  #findAll(method: string, target: string): readonly (T | undefined)[] {
    const starts = new Set<string>();
    for (const reading of allReadings(target)) starts.add(this.#spell(this.#start(reading)));
    let answer: readonly (T | undefined)[] | undefined;
    for (const start of starts) {
      const found: readonly (T | undefined)[] = this.#hit(method, start)?.alone ?? nobody;
      answer = answer === undefined ? found : withValue(answer, found[0]);
    }
    return answer ?? nobody;
  }

  /** As much of a path as decides: one segment more than the longest pattern has. */
  #start(path: string): string {
    let end = 0;
    for (let i = 0; i <= this.#depth; i++) {
      end = path.indexOf('/', end + 1);
      if (end < 0) return path;
    }
    return path.slice(0, end);
  }

  /** The path as the router knows it. */
  #spell(path: string): string {
    if (this.#odd.size === 0) return path;
    const segments = path.split('/');
    for (let i = 1; i < segments.length; i++) {
      const spelled = this.#odd.get(segments[i]!);
      if (spelled !== undefined) segments[i] = spelled;
    }
    return segments.join('/');
  }

  #add(entry: RouteEntry<T>): void {
    const parsed = parsePattern(entry.match, entry.where);
    const { methods, segments } = parsed;
    this.#depth = Math.max(this.#depth, segments.length);
    const pattern = segments.join('/');
    const hits: Hits<T> = this.#patterns.get(pattern) ?? new Map();
    this.#patterns.set(pattern, hits);
    const hit: Hit<T> = { entry, alone: [entry.value], order: orderOf(parsed) };
    const path = `/${segments.map((segment, i) => this.#forRouter(segment, i)).join('/')}`;
    for (const method of methods.length > 0 ? methods : ['']) {
      const other = hits.get(method)?.entry;
      if (other !== undefined) throw conflict(other, entry, method);
      hits.set(method, hit);
      addRoute(this.#router, method, path, hit);
    }
  }

  #forRouter(segment: string, i: number): string {
    if (segment === ':') return `:p${i}`;
    if (segment === '*') return '**';
    if (/^[a-z0-9_~.!$&',=@-]+$/.test(segment)) return segment;
    // No reading has a capital letter.
    const spelled = this.#odd.get(segment) ?? `X${this.#odd.size}`;
    this.#odd.set(segment, spelled);
    return spelled;
  }
}

function withValue<T>(answer: readonly T[], value: T): readonly T[] {
  return answer.includes(value) ? answer : [...answer, value];
}

/** Whether the target's path is written as it is read. */
function isVerbatim(target: string, reading: string | undefined): boolean {
  if (reading === undefined || !target.startsWith(reading)) return false;
  return target.length === reading.length || target.charCodeAt(reading.length) === 0x3f;
}

/** Over HTTP/2 a method may come in any case, and routers that fold it would serve it. */
function canonicalMethod(method: string): string {
  const upper = method.toUpperCase();
  return upper === 'HEAD' ? 'GET' : upper;
}

function conflict(first: RouteEntry<unknown>, second: RouteEntry<unknown>, method: string): SluiceError {
  return new SluiceError(
    'INVALID_OPTION',
    `${second.where} (${show(second.match)}) and ${first.where} (${show(first.match)}) match the same ${method ? `${method} requests` : 'requests of any method'}; names of parameters make no difference. Remove one, or make their paths or methods differ.`,
  );
}
