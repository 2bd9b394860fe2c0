import { type AppSetup, hasEarlyPhase } from '@sluice/testing';
import { type FastifyReply, type FastifyRequest, fastify } from 'fastify';
import { rateLimit } from '../src/index.ts';

const trust = { none: false, one: 'loopback', all: true };

/** Builds the app that `adapterSuite` asks for. */
export async function serve(setup: AppSetup<FastifyRequest>) {
  const app = fastify({ trustProxy: trust[setup.proxies] });
  app.decorateRequest('user', undefined);
  // Behind the phase before authentication, wherever a limiter has one.
  const place = setup.limiters.some(hasEarlyPhase) ? 'preValidation' : 'onRequest';
  app.addHook(place as 'onRequest', async (request, reply) => {
    Object.assign(request, { user: setup.authenticate(request.headers) });
    reply.headers(setup.earlierHeaders);
  });
  // A route's own limits need a registration: without limiters, one of plenty.
  const limiters = setup.limiters.length > 0 ? setup.limiters : ['1000000/1h' as const];
  for (const limits of limiters) {
    app.register(rateLimit, typeof limits === 'string' ? { limits: [limits] } : (limits ?? {}));
  }
  const answer = async (request: FastifyRequest, reply: FastifyReply) => {
    const { status, body } = await setup.handle(request.rateLimit);
    return reply.code(status).send(body);
  };
  app.get('/', answer);
  app.post('/login', setup.login === undefined ? {} : { config: { rateLimit: setup.login } }, answer);
  for (const { method, path } of setup.routes) app.route({ method, url: path, handler: answer });
  app.setErrorHandler((error, _request, reply) => {
    setup.failed(error);
    reply.code(500).send();
  });
  await app.ready();
  if (setup.limiters.length > 0) setup.made(app.rateLimiter);
  return app.server;
}
