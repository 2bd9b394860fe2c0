import type { Duration } from '../duration.js';
import { abandon, isPromise, type MaybePromise } from '../maybe-promise.js';
import { type Limiting, type LimitPolicy, usual } from './limiting.js';
import { type Limits, onePolicy } from './limits.js';
import type { Line } from './line.js';

/** Pairs of limit and window that are kept compiled. */
const most = 1_000;

/** Limits whose numbers are functions of the request: the state of a key goes on from one number to the next. */
export class ChangingLimits<R> {
  readonly #policy: Partial<LimitPolicy>;
  readonly #limit: (request: R) => MaybePromise<unknown>;
  readonly #window: (request: R) => MaybePromise<unknown>;
  readonly #compile: (policy: LimitPolicy) => Limits;
  readonly #known = new Map<unknown, Map<unknown, Limits>>();
  #count = 0;
  readonly #ceilings: Map<string, Line>;
  #latest: readonly Line[];

  constructor(options: Limiting<R>, compile: (policy: LimitPolicy) => Limits) {
    const { limit = usual.limit, window = usual.window } = options;
    this.#policy = onePolicy(options);
    this.#limit = typeof limit === 'function' ? limit : () => limit;
    this.#window = typeof window === 'function' ? window : () => window;
    this.#compile = compile;
    // What is wrong with the rest shows at creation.
    const { own, ceilings } = this.#compile({
      ...this.#policy,
      limit: typeof limit === 'function' ? 1 : (limit as number),
      window: typeof window === 'function' ? '1d' : window,
    });
    this.#latest = own;
    this.#ceilings = new Map(ceilings.map((line) => [line.policy.id, line]));
  }

  /** Under what the state is kept, with the latest numbers; ceilings are of each pair of numbers. */
  lines(): readonly Line[] {
    return [...this.#latest, ...this.#ceilings.values()];
  }

  /** @throws SluiceError for numbers that make no policy. */
  of(request: R): MaybePromise<Limits> {
    const limit = this.#limit(request);
    let window: unknown;
    try {
      window = this.#window(request);
    } catch (error) {
      abandon(limit);
      throw error;
    }
    if (!isPromise(limit) && !isPromise(window)) return this.#limits(limit, window);
    return Promise.all([limit, window]).then(([limit, window]) => this.#limits(limit, window));
  }

  #limits(limit: unknown, window: unknown): Limits {
    const known = this.#known.get(limit)?.get(window);
    if (known !== undefined) return known;
    const limits = this.#compile({ ...this.#policy, limit: limit as number, window: window as Duration });
    if (this.#count++ >= most) {
      this.#known.clear();
      this.#ceilings.clear();
      this.#count = 1;
    }
    const windows = this.#known.get(limit) ?? new Map<unknown, Limits>();
    this.#known.set(limit, windows.set(window, limits));
    this.#latest = limits.own;
    for (const line of limits.ceilings) this.#ceilings.set(line.policy.id, line);
    return limits;
  }
}
