import { IncomingMessage } from 'node:http';
import type { RequestDecision } from '@sluice/core';
import type { Request } from 'express';

/** The list that Node makes anew for each request, and nobody puts another in place of. */
type Holder = Record<symbol, unknown>;

const properties = new Map<string, DecisionProperty>();

/**
 * A DecisionProperty is where the decision on a request is read: `req.rateLimit`, or another name. Express changes the
 * prototype of each request, and V8 has to make a new hidden class for every property that is added from then on, which
 * takes longer than to decide. So the decision lies on the list of raw headers, whose classes V8 knows, and an accessor
 * of the prototype that all requests of Express share reads it there. A WeakMap would do, too, but for the work of the
 * garbage collector.
 */
export class DecisionProperty {
  readonly #name: string;
  readonly #symbol: symbol;
  /** Prototypes that all requests of an Express have in common: they have the accessor. */
  readonly #roots = new WeakSet<object>();
  /** Prototypes of requests that lead there. */
  readonly #known = new WeakSet<object>();
  /** The one of them that was seen last, as most programs have just one. */
  #last: object | undefined;
  /** Whether there has been a request whose list takes nothing: it has a property of its own. */
  #isOwnOfSome = false;

  private constructor(name: string) {
    this.#name = name;
    this.#symbol = Symbol(name);
  }

  /** Limiters that use the same name share what is there. */
  static of(name: string): DecisionProperty {
    let property = properties.get(name);
    if (property === undefined) {
      property = new DecisionProperty(name);
      properties.set(name, property);
    }
    return property;
  }

  get(req: Request): unknown {
    if (Object.getPrototypeOf(req) === this.#last) {
      const decision = holderOf(req)?.[this.#symbol];
      if (decision !== undefined || !this.#isOwnOfSome) return decision;
    }
    return (req as unknown as Record<string, unknown>)[this.#name];
  }

  set(req: Request, decision: RequestDecision): void {
    const prototype = Object.getPrototypeOf(req);
    if (prototype === this.#last || this.#reaches(prototype, req)) this.#put(req, decision);
    else (req as unknown as Record<string, unknown>)[this.#name] = decision;
  }

  #put(req: Request, value: unknown): void {
    try {
      holderOf(req)![this.#symbol] = value;
    } catch {
      // There is no list, as on a request that Node has not made, or it is frozen.
      this.#isOwnOfSome = true;
      Object.defineProperty(req, this.#name, { value, writable: true, enumerable: true, configurable: true });
    }
  }

  /** Whether requests of that prototype are read by the accessor. Properties that are there already stay as they are. */
  #reaches(prototype: object, req: Request): boolean {
    if (!this.#known.has(prototype)) {
      if (Object.hasOwn(req, this.#name) || !this.#extend(prototype)) return false;
      this.#known.add(prototype);
    }
    this.#last = prototype;
    return true;
  }

  /** Gives the prototype the accessor, where it is one of Express'. */
  #extend(prototype: object): boolean {
    for (let one: object | null = prototype; one !== null; ) {
      if (this.#roots.has(one)) return true;
      // An application's own, or that of another copy of this package.
      if (Object.hasOwn(one, this.#name)) return false;
      const next: object | null = Object.getPrototypeOf(one);
      if (next === IncomingMessage.prototype) {
        this.#define(one);
        return true;
      }
      one = next;
    }
    return false;
  }

  #define(root: object): void {
    const symbol = this.#symbol;
    const put = (req: Request, value: unknown) => this.#put(req, value);
    Object.defineProperty(root, this.#name, {
      configurable: true,
      get(this: Request) {
        return holderOf(this)?.[symbol];
      },
      set(this: Request, value: unknown) {
        put(this, value);
      },
    });
    this.#roots.add(root);
  }
}

function holderOf({ rawHeaders }: Request): Holder | undefined {
  return rawHeaders as unknown as Holder | undefined;
}
