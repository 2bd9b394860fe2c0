import {
  type Controls,
  controlsOf,
  MemoryStore,
  Pipeline,
  type PolicyText,
  type RateLimitOptions,
  type RequestDecision,
  SluiceError,
  systemClock,
} from '@sluice/core';
import type { FastifyInstance, FastifyPluginCallback, FastifyReply, FastifyRequest } from 'fastify';
import fp from 'fastify-plugin';
import { controlsOfAll } from './controls.js';
import { type Choose, type HookName, type LimitHook, limitWith } from './hook.js';
import { createReader } from './reader.js';
import { type Route, RouteLimits, type RouteRateLimitOptions } from './route-limits.js';

export type { Decision, Explanation, LimitedResponse, RequestDecision, RequestEvent, Rule, Store } from '@sluice/core';
export {
  AccessList,
  fromExpressRateLimitStore,
  ipKey,
  MemoryStore,
  Overrides,
  RateLimitError,
  SluiceError,
} from '@sluice/core';
export type { HookName, LimitHook } from './hook.js';
export type { RouteRateLimitOptions } from './route-limits.js';

declare module 'fastify' {
  interface FastifyRequest {
    /** What the rate limiters on this request have decided so far: the tightest of them. */
    rateLimit: RequestDecision | null;
  }
  interface FastifyContextConfig {
    /**
     * Limits of the route's own, counted beside those of the plugin, whose other options they share; `false` for no
     * limit at all. What is left out of `limit` and `window`, or all of it, is as the plugin says.
     */
    rateLimit?: RouteRateLimitOptions | PolicyText | false;
  }
  interface FastifyInstance {
    /**
     * Makes a hook, for a route or a scope: `preHandler: app.rateLimit({ limit: 5, window: '1m' })`. Options are as for a
     * route; without any, the hook is for what the plugin, being `global: false`, leaves alone, and counts as the plugin.
     * @throws SluiceError for options that cannot work, with the remedy.
     */
    rateLimit(options?: RouteRateLimitOptions | PolicyText): LimitHook;
    /**
     * Limits inside a handler: what it returns decides on a request when it is called. Options are as for a route;
     * without any, it counts as the plugin, once more if that has counted the request already.
     * @throws SluiceError for options that cannot work, with the remedy.
     */
    createRateLimit(options?: RouteRateLimitOptions | PolicyText): RateLimitCheck;
    /** What an operator can do with the plugin's limits, and those of its routes and hooks, while they run. */
    rateLimiter: Controls<FastifyRequest>;
  }
}

/** Options of {@link rateLimit}; every callback is given Fastify's request. */
export interface FastifyRateLimitOptions extends RateLimitOptions<FastifyRequest, FastifyReply> {
  /** Limits every route; otherwise only those with a `config.rateLimit` or a hook of `fastify.rateLimit()`. @default true */
  global?: boolean;
  /**
   * Where in a request's life it is limited. What is limited by user stands behind authentication.
   * @default 'onRequest', or 'preHandler' where `beforeAuth` limits addresses in onRequest
   */
  hook?: HookName;
}

/** A RateLimitCheck decides on a request; `undefined` where the request is not limited. */
export interface RateLimitCheck extends Controls<FastifyRequest> {
  (request: FastifyRequest): Promise<RequestDecision | undefined>;
  /** Answers as the call would, and takes nothing. */
  peek(request: FastifyRequest): Promise<RequestDecision | undefined>;
}

/** The limits of a scope's routes: those of the first registration in it, or around it. */
const inCharge = Symbol('sluice.in-charge');

const hooks: readonly HookName[] = ['onRequest', 'preParsing', 'preValidation', 'preHandler'];

const plugin: FastifyPluginCallback<FastifyRateLimitOptions> = (fastify, registered, done) => {
  if (typeof done !== 'function') {
    throw new SluiceError(
      'INVALID_OPTION',
      'rateLimit is a plugin: app.register(rateLimit, { … }). For one route, set config: { rateLimit: { … } }.',
    );
  }
  // What a plugin of this kind throws, nobody catches.
  try {
    install(fastify, registered);
  } catch (error) {
    return done(error as Error);
  }
  done();
};

function install(fastify: FastifyInstance, registered: FastifyRateLimitOptions): void {
  // What `register` itself understands comes along with the plugin's options.
  const { prefix, logLevel, logSerializers, global = true, hook, ...rest } = registered as Record<string, unknown>;
  const options = rest as RateLimitOptions<FastifyRequest, FastifyReply>;
  const place = placeOf(hook, options.beforeAuth === undefined ? 'onRequest' : 'preHandler');
  if (typeof global !== 'boolean') {
    throw new SluiceError('INVALID_OPTION', `rateLimit: 'global' must be a boolean, not ${JSON.stringify(global)}.`);
  }
  const reader = createReader();
  const { clock } = options;
  const own = options.store === undefined ? new MemoryStore(clock === undefined ? {} : { clock }) : undefined;
  const store = own ?? options.store;
  const everywhere = new Pipeline(reader, { ...options, store } as typeof options);
  const limits = new RouteLimits(reader, { ...options, store } as typeof options, everywhere);

  const isFirst = !fastify.hasDecorator(inCharge);
  if (isFirst) fastify.decorate(inCharge, limits);
  const routes = (fastify as unknown as { [inCharge]: RouteLimits })[inCharge];
  const controls = controlsOfAll(everywhere, limits, routes, { global, clock: clock ?? systemClock });

  fastify.addHook('onClose', async () => {
    await controls.close();
    await own?.close();
  });

  const { property } = everywhere;
  if (!fastify.hasRequestDecorator(property)) fastify.decorateRequest(property, null);
  if (options.beforeAuth !== undefined) {
    const early = everywhere.before();
    const isMet = global ? isLimited : RouteLimits.has;
    addHook(
      fastify,
      'onRequest',
      limitWith((route) => (isMet(route) ? early : undefined)),
    );
  }
  // Routes declared before this plugin has loaded are met by the hook for the first time.
  const ofRoute: Choose | undefined = isFirst ? (route) => route && limits.of(route) : undefined;
  if (global) {
    const ofAll: Choose = (route) => (isLimited(route) ? everywhere : undefined);
    addHook(fastify, place, limitWith(ofAll, ofRoute));
  } else if (ofRoute !== undefined) {
    addHook(fastify, place, limitWith(ofRoute));
  }
  decorate(fastify, everywhere, limits, controls, global);
  if (isFirst) fastify.addHook('onRoute', (route) => void limits.of(route));
}

/** Each registration in a scope of its own has them to itself; of several in one scope, the first has. */
function decorate(
  fastify: FastifyInstance,
  everywhere: Pipeline<FastifyRequest, FastifyReply>,
  limits: RouteLimits,
  controls: Controls<FastifyRequest>,
  global: boolean,
): void {
  if (Object.hasOwn(fastify, 'rateLimiter')) return;
  fastify.decorate('rateLimiter', controls);
  decorateAny(fastify, 'rateLimit', (options?: RouteRateLimitOptions | PolicyText): LimitHook => {
    const pipeline = limits.create(options, 'hook');
    return limitWith((route) => (pipeline === everywhere && global && isLimited(route) ? undefined : pipeline));
  });
  decorateAny(fastify, 'createRateLimit', (options?: RouteRateLimitOptions | PolicyText): RateLimitCheck => {
    const pipeline = limits.create(options, 'check');
    return Object.assign((request: FastifyRequest) => pipeline.decide(request, true), {
      ...controlsOf(pipeline),
      peek: (request: FastifyRequest) => pipeline.decide(request, false),
    });
  });
}

/** Whether a route has not been taken out of the limits. */
function isLimited(route: Route | undefined): boolean {
  return route?.config?.rateLimit !== false;
}

/** Other plugins declare decorators of the same names, whose types may be in the same program. */
function decorateAny(fastify: FastifyInstance, name: string, value: unknown): void {
  fastify.decorate(name, value as never);
}

function placeOf(hook: unknown, otherwise: HookName): HookName {
  if (hook === undefined) return otherwise;
  if (hooks.includes(hook as HookName)) return hook as HookName;
  throw new SluiceError(
    'INVALID_OPTION',
    `rateLimit: 'hook' must be one of ${hooks.map((name) => `'${name}'`).join(', ')}; got ${JSON.stringify(hook)}.`,
  );
}

/** One function serves all of these places; Fastify's types tell each apart. */
function addHook(fastify: FastifyInstance, place: HookName, hook: LimitHook): void {
  fastify.addHook(place as 'onRequest', hook);
}

/**
 * Fastify plugin that limits requests: `app.register(rateLimit)`, awaited or not, limits every route of the scope it is
 * registered in, declared before or after, and requests that no route matches. The decision is on `request.rateLimit`.
 *
 * The registration fails with a SluiceError for options that cannot work, and so does a route whose
 * `config.rateLimit` cannot; the message has the remedy.
 */
export const rateLimit = fp(plugin, { fastify: '5.x', name: '@sluice/fastify' });
