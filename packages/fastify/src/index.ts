import {
  type Decision,
  MemoryStore,
  Pipeline,
  type PolicyText,
  type RateLimitOptions,
  SluiceError,
} from '@sluice/core';
import type { FastifyInstance, FastifyPluginCallback, FastifyRequest } from 'fastify';
import fp from 'fastify-plugin';
import { limitWith } from './hook.js';
import { createReader } from './reader.js';
import { RouteLimits } from './route-limits.js';

export { ipKey, SluiceError } from '@sluice/core';

declare module 'fastify' {
  interface FastifyRequest {
    /** What the rate limiters on this request have decided so far: the tightest of them. */
    rateLimit: Decision | null;
  }
  interface FastifyContextConfig {
    /**
     * Limits of the route's own, counted beside those of the plugin, whose other options they share; `false` for no
     * limit at all.
     */
    rateLimit?: FastifyRateLimitOptions | PolicyText | false;
  }
}

/** Options of {@link rateLimit}; every callback is given Fastify's request. */
export type FastifyRateLimitOptions = RateLimitOptions<FastifyRequest>;

/** Marks a scope in which a registration has taken charge of the routes' own limits. */
const inCharge = Symbol('sluice.in-charge');

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
  const { prefix, logLevel, logSerializers, ...rest } = registered as Record<string, unknown>;
  const options = rest as FastifyRateLimitOptions;
  const reader = createReader();
  const { clock } = options;
  const own = options.store === undefined ? new MemoryStore(clock === undefined ? {} : { clock }) : undefined;
  const store = own ?? options.store;
  const everywhere = new Pipeline(reader, { ...options, store });

  fastify.addHook('onClose', async () => own?.close());

  if (!fastify.hasRequestDecorator('rateLimit')) fastify.decorateRequest('rateLimit', null);
  fastify.addHook(
    'onRequest',
    limitWith(({ routeOptions }) => (routeOptions?.config?.rateLimit === false ? undefined : everywhere)),
  );
  if (!fastify.hasDecorator(inCharge)) {
    fastify.decorate(inCharge, true);
    const routes = new RouteLimits(reader, { ...options, store });
    fastify.addHook('onRoute', (route) => void routes.of(route));
    // Routes declared before this plugin has loaded are met here for the first time.
    fastify.addHook(
      'onRequest',
      limitWith(({ routeOptions }) => routeOptions && routes.of(routeOptions)),
    );
  }
}

/**
 * Fastify plugin that limits requests: `app.register(rateLimit)`, awaited or not, limits every route of the scope it is
 * registered in, declared before or after, and requests that no route matches. The decision is on `request.rateLimit`.
 *
 * The registration fails with a SluiceError for options that cannot work, and so does a route whose
 * `config.rateLimit` cannot; the message has the remedy.
 */
export const rateLimit = fp(plugin, { fastify: '5.x', name: '@sluice/fastify' });
