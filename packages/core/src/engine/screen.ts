import type { Clock } from '../clock.js';
import { SluiceError, show } from '../errors.js';
import { AccessList, type ListEntry, type Lists } from '../identity/access-list.js';
import type { Identifier, Identity } from '../identity/identifier.js';
import { contradictory } from '../identity/trusted-proxies.js';

/** A Listing is where a client stands in a list. */
export interface Listing {
  readonly list: 'allow' | 'block';
  readonly entry: ListEntry;
  /** The rule whose list it is, as written; `undefined` for a list of the limiter. */
  readonly rule: string | undefined;
}

/** A Screen looks a client up in the lists of those who are always refused, then of those who are never limited. */
export class Screen<R> {
  readonly #identifier: Identifier<R>;
  readonly #block: AccessList | undefined;
  readonly #allow: AccessList | undefined;
  readonly #rule: string | undefined;

  /** `where` is how errors name the lists, which are those of a `rule`, or of the limiter. */
  constructor(lists: Lists, identifier: Identifier<R>, clock: Clock, where: string, rule?: string) {
    this.#identifier = identifier;
    this.#rule = rule;
    this.#block = listOf(lists.block, `${where}.block`, clock);
    this.#allow = listOf(lists.allow, `${where}.allow`, clock);
    for (const list of [this.#block, this.#allow]) list?.attach((entry) => identifier.canonical(entry));
  }

  /** `counted` is whom a rule counts, where that is another than the limiter does. */
  find(request: R, identity: Identity | undefined, counted?: Identity): Listing | undefined {
    const address = this.#identifier.ip(request);
    const names = this.#hasKeys() ? this.#names(request, identity, counted, address) : none;
    const blocked = this.#block?.find(names, address) ?? this.#findContradicting(request, address);
    if (blocked !== undefined) return { list: 'block', entry: blocked, rule: this.#rule };
    const allowed = this.#allow?.find(names, address);
    return allowed && { list: 'allow', entry: allowed, rule: this.#rule };
  }

  /** Whether anybody is listed by another name than an address: lists may change at any time. */
  #hasKeys(): boolean {
    return this.#block?.hasKeys === true || this.#allow?.hasKeys === true;
  }

  #names(
    request: R,
    identity: Identity | undefined,
    counted: Identity | undefined,
    address: string | undefined,
  ): readonly string[] {
    const known = this.#identifier.names(request, identity, address);
    return counted === undefined || counted === identity ? known : [counted.key, ...known];
  }

  /** Of headers that contradict one another neither is believed, but none of them may hide who is blocked. */
  #findContradicting(request: R, address: string | undefined): ListEntry | undefined {
    if (this.#block === undefined || address !== contradictory) return undefined;
    for (const address of this.#identifier.candidates(request)) {
      const found = this.#block.find([this.#identifier.canonical(`ip:${address}`)], address);
      if (found !== undefined) return found;
    }
    return undefined;
  }
}

const none: readonly string[] = [];

function listOf(list: readonly string[] | AccessList | undefined, where: string, clock: Clock): AccessList | undefined {
  if (list === undefined || list instanceof AccessList) return list;
  if (Array.isArray(list)) {
    const own = new AccessList([], { clock });
    for (const [i, entry] of list.entries()) own.addFrom(entry, {}, `${where}[${i}]`);
    return own;
  }
  throw new SluiceError(
    'INVALID_OPTION',
    `${where} takes a list, like ['203.0.113.0/24', 'user:42'], or a new AccessList(); got ${show(list)}.`,
  );
}
