import type { Decision } from '../decision.js';
import type { Explanation } from '../engine/explanation.js';
import type { Pipeline } from './pipeline.js';

/** Controls are what an operator can do with a limiter while it runs. */
export interface Controls<R> {
  /**
   * The state of every policy from which a key has taken something, or that blocks it. A key is `'user:42'`,
   * `'api-key:secret'`, an address, or what the `key` option returns.
   */
  get(key: string | readonly string[]): Promise<readonly Decision[]>;
  /** Forgets what a key has taken, and whether it is blocked or banned. */
  reset(key: string | readonly string[]): Promise<void>;
  /** Says what a request would be told, and why. Nothing is charged. */
  explain(request: R): Promise<Explanation>;
  /** Lets the store go, and closes it if it is the limiter's own. */
  close(): Promise<void>;
}

/** The controls of a pipeline, for an adapter to hand on. */
export function controlsOf<R, S>(pipeline: Pipeline<R, S>): Controls<R> {
  return {
    get: (key) => pipeline.get(key),
    reset: (key) => pipeline.reset(key),
    explain: (request) => pipeline.explain(request),
    close: () => pipeline.close(),
  };
}

/** A framework's middleware `M`, and what an operator can do with it while it runs. */
export type ControlledMiddleware<M, R> = M &
  Controls<R> & {
    /** The middleware of the phase before authentication. @throws SluiceError without the option `beforeAuth`. */
    readonly beforeAuth: M;
  };

/** The middleware of a pipeline with its controls and its phase before authentication; `make` is the framework's part. */
export function controlled<R, S, M extends object>(
  pipeline: Pipeline<R, S>,
  make: (pipeline: Pipeline<R, S>) => M,
): ControlledMiddleware<M, R> {
  return Object.defineProperty(Object.assign(make(pipeline), controlsOf(pipeline)), 'beforeAuth', {
    get: () => make(pipeline.before()),
  }) as ControlledMiddleware<M, R>;
}
