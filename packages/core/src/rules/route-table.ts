import { addRoute, createRouter, findAllRoutes, findRoute } from 'rou3';
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
  /** Whatever the entries match, one of a higher priority goes first. @default 0 */
  readonly priority?: number;
  /** One that does not apply to every request goes before one that does, of the same pattern. @default false */
  readonly isTrial?: boolean;
  /** Of the same pattern, one that is for some requests only goes before one that is for all, and beside others. */
  readonly tier?: string | undefined;
}

/** A Trial says which entries apply to a request. */
export interface Trial<T> {
  /** Whether the entry is for requests like this one; else it is as if it were not there. */
  concerns(value: T): boolean;
  applies(value: T): boolean;
  /** Is given those that do not, and go before the one that does. */
  readonly passed: Set<T>;
}

/** A hit is an entry that has been found, with the answer for the usual request, which finds nothing else. */
interface Hit<T> {
  readonly entry: RouteEntry<T>;
  readonly alone: readonly [T];
  readonly priority: number;
  /** The lower, the more specific; of patterns that match the same request. */
  readonly order: string;
}

/** The entries of one path pattern by method; the empty method is any. */
type Hits<T> = Map<string, Hit<T>[]>;

/** What a route of the framework is to the table. */
interface KnownRoute<T> {
  /** The entries of the same pattern. */
  readonly hits: Hits<T>;
  /** The pattern as if it were a path, so that a param of the route is what no text of a rule is. */
  readonly path: string;
}

const nobody: readonly [undefined] = [undefined];
const none: readonly never[] = [];
const foreign: KnownRoute<never> = { hits: new Map(), path: '' };
const withoutParams = { params: false } as const;

/**
 * RouteTable finds the rule of the highest priority for a request, and of several the most specific, in a time that does
 * not depend on how many others there are. From the left, text goes before `:param` and `:param` before `*`; of two rules
 * for one path, the one that names the method.
 */
export class RouteTable<T> {
  readonly #router = createRouter<Hit<T>>();
  readonly #patterns = new Map<string, Hits<T>>();
  readonly #routes: Memo<KnownRoute<T>>;
  /** Static segments with characters that the router would read or spell differently, and what it knows them by. */
  readonly #odd = new Map<string, string>();
  /** Whether more than the pattern says which entry goes first. */
  readonly #isRanked: boolean;
  /** Segments of the longest pattern. */
  #depth = 0;

  /** @throws SluiceError for patterns that are not supported, can never match, or are there twice. */
  constructor(entries: readonly RouteEntry<T>[]) {
    for (const entry of entries) this.#add(entry);
    this.#isRanked = entries.some(
      ({ priority = 0, isTrial, tier }) => isTrial || tier !== undefined || priority !== (entries[0]!.priority ?? 0),
    );
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
   * where it is known. Without a `trial` every entry applies.
   * @throws SluiceError for a target that cannot be read in bounded time; see `readings`.
   */
  find(method: string, target: string, route?: string, trial?: Trial<T>): readonly (T | undefined)[] {
    const verb = canonicalMethod(method);
    const clean = cleanReading(target);
    const only = clean === undefined ? undefined : this.#hit(verb, this.#start(clean), trial);
    const answer = clean === undefined ? this.#findEach(verb, target, trial) : (only?.alone ?? nobody);
    if (route === undefined) return answer;
    const known = this.#routes.get(route);
    if (isVerbatim(target, clean)) {
      const own = ownOf(known.hits, verb);
      // A route may serve paths that have a rule of their own.
      const hit = first(only === undefined ? own : own.filter((one) => goesBefore(one, only)), trial);
      return hit === undefined ? answer : withValue(answer, hit.entry.value);
    }
    if (known.path === '') return answer;
    // To a router that tells case or empty segments apart, what is spelled otherwise may have been another route.
    return withValue(answer, first(this.#rankedFor(known, verb), trial)?.entry.value);
  }

  /** The first entry for one reading of a path. */
  #hit(method: string, path: string, trial: Trial<T> | undefined): Hit<T> | undefined {
    if (this.#isRanked) return first(this.#all(method, path), trial);
    return findRoute(this.#router, method, path, withoutParams)?.data;
  }

  /** Every entry that matches, the first one first. */
  #all(method: string, path: string): readonly Hit<T>[] {
    const found = findAllRoutes(this.#router, method, path, withoutParams);
    return found.map(({ data }) => data).sort(compare);
  }

  /** The entries for a route: of one priority those of its own pattern, then those that match it like a path. */
  #rankedFor({ hits, path }: KnownRoute<T>, verb: string): readonly Hit<T>[] {
    const own = ownOf(hits, verb);
    const others = this.#all(verb, path).filter((one) => !own.includes(one));
    return [...own, ...others].sort((a, b) => b.priority - a.priority);
  }

  #findEach(method: string, target: string, trial: Trial<T> | undefined): readonly (T | undefined)[] {
    const starts = new Set<string>();
    for (const reading of allReadings(target)) starts.add(this.#spell(this.#start(reading)));
    let answer: readonly (T | undefined)[] | undefined;
    for (const start of starts) {
      const found: readonly (T | undefined)[] = this.#hit(method, start, trial)?.alone ?? nobody;
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
    const { priority = 0, isTrial = false } = entry;
    this.#depth = Math.max(this.#depth, segments.length);
    const pattern = segments.join('/');
    const hits: Hits<T> = this.#patterns.get(pattern) ?? new Map();
    this.#patterns.set(pattern, hits);
    const hit: Hit<T> = { entry, alone: [entry.value], priority, order: orderOf(parsed) };
    const path = `/${segments.map((segment, i) => this.#forRouter(segment, i)).join('/')}`;
    for (const method of methods.length > 0 ? methods : ['']) {
      const others = hits.get(method) ?? [];
      const same = others.find(
        (one) => one.priority === priority && (one.entry.isTrial ?? false) === isTrial && one.entry.tier === entry.tier,
      );
      if (same !== undefined) throw conflict(same.entry, entry, method);
      hits.set(method, [...others, hit].sort(compare));
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

/** The entries of a pattern for a method, the first one first. */
function ownOf<T>(hits: Hits<T>, method: string): readonly Hit<T>[] {
  const named = hits.get(method) ?? none;
  const any = hits.get('') ?? none;
  return named.length > 0 && any.length > 0 ? [...named, ...any].sort(compare) : [...named, ...any];
}

/** The first that applies. */
function first<T>(hits: readonly Hit<T>[], trial: Trial<T> | undefined): Hit<T> | undefined {
  if (trial === undefined) return hits[0];
  for (const hit of hits) {
    const { value } = hit.entry;
    if (!trial.concerns(value)) continue;
    if (trial.applies(value)) return hit;
    trial.passed.add(value);
  }
  return undefined;
}

function goesBefore<T>(a: Hit<T>, b: Hit<T>): boolean {
  return a.priority === b.priority ? a.order < b.order : a.priority > b.priority;
}

function compare<T>(a: Hit<T>, b: Hit<T>): number {
  if (goesBefore(a, b)) return -1;
  if (goesBefore(b, a)) return 1;
  const tiers = Number(b.entry.tier !== undefined) - Number(a.entry.tier !== undefined);
  if (tiers !== 0) return tiers;
  return Number(b.entry.isTrial ?? false) - Number(a.entry.isTrial ?? false);
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
    `${second.where} (${show(second.match)}) and ${first.where} (${show(first.match)}) match the same ${method ? `${method} requests` : 'requests of any method'}; names of parameters make no difference. Remove one, or make their paths, methods, tiers or priorities differ.`,
  );
}
