import { hash } from 'node:crypto';
import { Pipeline, type PolicyText, type RateLimitOptions, type Reader, SluiceError } from '@sluice/core';
import type { FastifyContextConfig, FastifyReply, FastifyRequest } from 'fastify';
import type { FastifyPipeline } from './hook.js';

type Options = RateLimitOptions<FastifyRequest, FastifyReply>;

/** Limits of a route's own. */
export interface RouteRateLimitOptions extends Options {
  /** Routes of one group count together. Their limits must be the same. */
  group?: string;
}

/** The part of a route that is used: as it is declared, and as a request knows it. */
export interface Route {
  readonly method?: string | readonly string[];
  readonly url?: string | undefined;
  readonly constraints?: object;
  readonly config?: FastifyContextConfig;
}

/** Keeps the pipelines of what has limits of its own beside the plugin: routes, hooks and checks. */
export class RouteLimits {
  readonly #reader: Reader<FastifyRequest>;
  readonly #shared: Options;
  readonly #limits: Options;
  readonly #plugin: FastifyPipeline;
  readonly #ofRoutes = new WeakMap<FastifyContextConfig, FastifyPipeline>();
  readonly #pipelines: FastifyPipeline[] = [];
  readonly #checks: FastifyPipeline[] = [];
  #made = 0;

  /** What is limited on its own adds to `options`, whose limits count beside its own; whom `plugin` bans, it refuses. */
  constructor(reader: Reader<FastifyRequest>, options: Options, plugin: FastifyPipeline) {
    this.#reader = reader;
    const { shared, limits } = parted(options);
    this.#shared = shared;
    this.#limits = limits;
    this.#plugin = plugin;
  }

  /** Whether a route has limits of its own. */
  static has(route: Route | undefined): boolean {
    const own = route?.config?.rateLimit;
    return own !== undefined && own !== false;
  }

  /** @throws SluiceError where the route's `config.rateLimit` cannot work. */
  of(route: Route): FastifyPipeline | undefined {
    const { config } = route;
    const own = config?.rateLimit;
    if (config === undefined || own === undefined || own === false) return undefined;
    let pipeline = this.#ofRoutes.get(config);
    if (pipeline === undefined) {
      const { group, ...limits } = withLimits(own);
      pipeline = this.#create({ name: group ?? nameOf(route), ...limits });
      this.#pipelines.push(pipeline);
      this.#ofRoutes.set(config, pipeline);
    }
    return pipeline;
  }

  /**
   * A pipeline for a hook, or for a check inside a handler, which has controls of its own. It is named by the order in
   * which they are made, if it has no name. Without options it is that of the plugin.
   */
  create(own: RouteRateLimitOptions | PolicyText | undefined, use: 'hook' | 'check'): FastifyPipeline {
    if (own === undefined) return this.#plugin;
    const { group, ...limits } = withLimits(own);
    this.#made++;
    const pipeline = this.#create({ name: group ?? `limit-${this.#made}`, ...limits });
    (use === 'hook' ? this.#pipelines : this.#checks).push(pipeline);
    return pipeline;
  }

  /** The pipelines of routes and hooks. */
  pipelines(): readonly FastifyPipeline[] {
    return this.#pipelines;
  }

  /** Lets the stores go. */
  async close(): Promise<void> {
    for (const pipeline of [...this.#pipelines, ...this.#checks]) await pipeline.close();
  }

  #create(own: Options): FastifyPipeline {
    if (bans(own) && bans(this.#shared)) {
      throw new SluiceError(
        'INVALID_OPTION',
        `The limit '${own.name}' has a penalty with 'banAfter', but so has the plugin, whose ban is of all its routes: ` +
          "what is refused here counts towards it. Leave 'banAfter' out here, or leave it out of the plugin's penalty.",
      );
    }
    const limits = missing(own, this.#limits);
    return new Pipeline(this.#reader, { ...this.#shared, ...limits, ...own }, this.#plugin);
  }
}

function bans({ penalty }: Options): boolean {
  return typeof penalty === 'object' && penalty !== null && penalty.banAfter !== undefined;
}

/** What says how requests are treated, and what says how many may pass; the rest is the plugin's alone. */
function parted(options: Options): { shared: Options; limits: Options } {
  const { limit, window, algorithm, burst, anchor, countRefused, limits, tiers, tier, defaultTier, ...others } =
    options;
  const { rules, overrides, beforeAuth, concurrency, ...shared } = others;
  const all = { limit, window, algorithm, burst, anchor, countRefused, limits, tiers, tier, defaultTier };
  const given = Object.entries(all).filter(([, value]) => value !== undefined);
  return { shared, limits: Object.fromEntries(given) };
}

/**
 * What a route does not say of its limits: who says nothing has the numbers of the plugin, who gives a limit its window,
 * or the other way round, and who gives tiers its way of telling them.
 */
function missing(own: Options, plugin: Options): Options {
  const says = (name: keyof Options) => Object.hasOwn(own, name);
  if (!describing.some(says)) return plugin;
  if (says('limits') || own.limit === false) return {};
  const wanted: readonly (keyof Options)[] = says('tiers') ? ['tier', 'defaultTier'] : numbers;
  return Object.fromEntries(wanted.filter((name) => Object.hasOwn(plugin, name)).map((name) => [name, plugin[name]]));
}

const numbers = ['limit', 'window'] as const;
const describing = [...numbers, 'algorithm', 'burst', 'anchor', 'countRefused', 'limits', 'tiers'] as const;

function withLimits(own: RouteRateLimitOptions | PolicyText): RouteRateLimitOptions {
  if (typeof own === 'object' && own !== null && 'groupId' in own) {
    throw new SluiceError('UNKNOWN_OPTION', 'config.rateLimit has no option "groupId". Here it is called "group".');
  }
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
