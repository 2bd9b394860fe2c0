import { SluiceError, show } from '../errors.js';
import type { CircuitBreaker, CircuitState } from './circuit-breaker.js';

/** Names beyond which old ones are forgotten: the nodes of a cluster change in the course of years. */
const mostCircuits = 1_000;

/** Circuits are the breakers of the parts of a store, such as the nodes of a cluster, each made when it is first named. */
export class Circuits {
  readonly #circuitOf: (key: string) => string;
  readonly #create: (name: string) => CircuitBreaker;
  /** Each by itself in a list: most calls go to one part. */
  readonly #breakers = new Map<string, readonly [CircuitBreaker]>();

  constructor(circuitOf: (key: string) => string, create: (name: string) => CircuitBreaker) {
    this.#circuitOf = circuitOf;
    this.#create = create;
  }

  get states(): ReadonlyMap<string, CircuitState> {
    return new Map(Array.from(this.#breakers, ([name, [{ state }]]) => [name, state]));
  }

  /** The breakers of the parts that a call with these keys goes to, each once. */
  of(charges: readonly { readonly key: string }[]): readonly CircuitBreaker[] {
    const [first] = charges;
    if (first === undefined) return [];
    const alone = this.#named(this.#circuitOf(first.key));
    let breakers: CircuitBreaker[] | undefined;
    let last = first.key;
    for (let i = 1; i < charges.length; i++) {
      const { key } = charges[i]!;
      // Most often several policies have the same key.
      if (key === last) continue;
      last = key;
      const [breaker] = this.#named(this.#circuitOf(key));
      if (breakers === undefined && breaker === alone[0]) continue;
      breakers ??= [alone[0]];
      if (!breakers.includes(breaker)) breakers.push(breaker);
    }
    return breakers ?? alone;
  }

  /** The breaker of that name, if there is one yet. */
  get(name: string): CircuitBreaker | undefined {
    return this.#breakers.get(name)?.[0];
  }

  stop(): void {
    for (const [breaker] of this.#breakers.values()) breaker.stop();
  }

  #named(name: string): readonly [CircuitBreaker] {
    const known = this.#breakers.get(name);
    if (known !== undefined) return known;
    if (typeof name !== 'string') {
      throw new SluiceError('INVALID_OPTION', `'circuitOf' must return the name of a circuit, not ${show(name)}.`);
    }
    if (this.#breakers.size >= mostCircuits) this.#forgetOne();
    const alone = [this.#create(name)] as const;
    this.#breakers.set(name, alone);
    return alone;
  }

  /** The oldest of those that know of no failure, or else the oldest. */
  #forgetOne(): void {
    let [forgotten] = this.#breakers.keys();
    for (const [name, [breaker]] of this.#breakers) {
      if (!breaker.isFresh) continue;
      forgotten = name;
      break;
    }
    // Calls in flight may still report to it, and must not set it to probing what nobody names any more.
    this.#breakers.get(forgotten!)![0].stop();
    this.#breakers.delete(forgotten!);
  }
}
