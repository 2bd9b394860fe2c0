import { hash } from 'node:crypto';
import { Pipeline, type PolicyText, type RateLimitOptions, type Reader, SluiceError } from '@sluice/core';
import type { FastifyContextConfig, FastifyRequest } from 'fastify';

type Options = RateLimitOptions<FastifyRequest>;

/** The part of a route that is used: as it is declared, and as a request knows it. */
export interface Route {
  readonly method?: string | readonly string[];
  readonly url?: string | undefined;
  readonly constraints?: object;
  readonly config?: FastifyContextConfig;
}

/** Keeps the pipelines of routes that have limits of their own. */
export class RouteLimits {
  readonly #reader: Reader<FastifyRequest>;
  readonly #shared: Options;
  readonly #pipelines = new WeakMap<FastifyContextConfig, Pipeline<FastifyRequest>>();

  /** A route's options add to `shared`; of the policies in `shared` it takes over none. */
  constructor(reader: Reader<FastifyRequest>, shared: Options) {
    const { limit, window, algorithm, burst, anchor, countRefused, limits, ...rest } = shared;
    this.#reader = reader;
    this.#shared = rest;
  }

  /** @throws SluiceError where the route's `config.rateLimit` cannot work. */
  of(route: Route): Pipeline<FastifyRequest> | undefined {
    const { config } = route;
    const own = config?.rateLimit;
    if (config === undefined || own === undefined || own === false) return undefined;
    let pipeline = this.#pipelines.get(config);
    if (pipeline === undefined) {
      pipeline = new Pipeline(this.#reader, { ...this.#shared, name: nameOf(route), ...withLimits(own) });
      this.#pipelines.set(config, pipeline);
    }
    return pipeline;
  }
}

function withLimits(own: Options | PolicyText): Options {
  if (typeof own === 'string') return { limits: [own] };
  if (typeof own === 'object' && own !== null && !Array.isArray(own)) return own;
  throw new SluiceError(
    'INVALID_OPTION',
    `config.rateLimit takes an object of options, a policy like '100/1m', or false; not ${JSON.stringify(own)}.`,
  );
}

/** `POST /login` → `POST-login-x7Gd2k`: told apart by the digest, known again by the words. */
function nameOf({ method = '', url = '', constraints = {} }: Route): string {
  // Fastify answers HEAD by a route that it makes from the one for GET: one budget for both.
  const methods = new Set([method].flat().map((one) => (one === 'HEAD' ? 'GET' : one)));
  const route = `${[...methods].join('-')}${url}`;
  const words = route.replace(/[^A-Za-z0-9]+/g, '-').replace(/-$/, '');
  const print = hash('sha256', route + textOf(constraints), 'base64url').replace(/[^A-Za-z0-9]/g, '');
  return `${words.slice(0, 40)}-${print.slice(0, 6)}`;
}

function textOf(constraints: object): string {
  return JSON.stringify(constraints, (_, value) => (value instanceof RegExp ? String(value) : value));
}
