import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import { rateLimit } from '@sluice/fastify';
import {
  type FastifyBaseLogger,
  type FastifyError,
  type FastifyInstance,
  type FastifyReply,
  fastify,
  LogController,
} from 'fastify';
import type { Logger as Pino } from 'pino';
import { Problem } from '../problem.js';
import { compileSchema, invalid, type Place } from '../validation.js';
import { analyticsRoutes } from './analytics.js';
import { auditRoutes } from './audit.js';
import { checkRoutes } from './checks.js';
import { answerError } from './failures.js';
import { gatewayRoutes } from './gateway.js';
import { listRoutes } from './lists.js';
import { completed, description } from './openapi.js';
import { operationRoutes } from './operations.js';
import { recoveryRoutes } from './recovery.js';
import { resources } from './resource-schemas.js';
import type { RouteParts, Routes } from './route-parts.js';
import { ruleRoutes } from './rules.js';
import { answerSchema, noQuery, problemSchema } from './schemas.js';
import { securityFields } from './security-fields.js';
import { statusRoutes } from './status.js';
import { answerUnread } from './unread-requests.js';
import { userRoutes } from './users.js';

/** Milliseconds. A request that has not come in whole by then is given up, and its header by then. */
const requestTimeout = 10_000;
const headersTimeout = 5_000;
const keepAliveTimeout = 72_000;

/** Makes the HTTP service of its parts. */
export async function createApp(parts: RouteParts, log: Pino): Promise<FastifyInstance> {
  const { settings, isClosing } = parts;
  const app = fastify({
    bodyLimit: settings.bodyLimit,
    requestTimeout,
    keepAliveTimeout,
    connectionTimeout: 0,
    // Node looks only so often for requests that take too long. Whether there is a Host is looked at below.
    http: { headersTimeout, connectionsCheckingInterval: 1_000, requireHostHeader: false },
    // A HEAD of GET /check would charge, and tell nothing.
    exposeHeadRoutes: false,
    routerOptions: { maxParamLength: 5_000 },
    loggerInstance: log as FastifyBaseLogger,
    logController: new LogController({ disableRequestLogging: !log.isLevelEnabled('debug') }),
    // No hook is called for these.
    frameworkErrors: (error, _request, reply) =>
      answerError(error, (reply as unknown as FastifyReply).headers(securityFields)),
    clientErrorHandler: answerUnread,
    // Who has sent a request over a connection that is still there is answered.
    return503OnClosing: false,
    forceCloseConnections: 'idle',
  });
  // What is sent as text is no JSON, and none of the endpoints takes it.
  app.removeContentTypeParser('text/plain');
  app.setValidatorCompiler(({ schema, httpPart }) => compileSchema(schema as object, (httpPart ?? 'body') as Place));
  app.setErrorHandler((error: FastifyError, _request, reply) => answerError(error, reply));
  app.setNotFoundHandler(() => {
    throw new Problem(
      404,
      'Not found',
      'There is no such endpoint. All of them: GET /openapi.json, or /docs in a browser.',
    );
  });
  app.addSchema(answerSchema);
  app.addSchema(problemSchema);
  for (const resource of resources) app.addSchema(resource);

  app.decorateRequest('caller', undefined);
  app.addHook('onRequest', ({ raw, headers }, reply, done) => {
    reply.headers(securityFields);
    if (headers.host === undefined && raw.httpVersion === '1.1') throw invalid([lacksHost]);
    done();
  });
  // Clients that keep their connection would not learn that the service goes away.
  app.addHook('onSend', (_request, reply, payload, done) => {
    if (isClosing()) reply.header('connection', 'close');
    done(null, payload);
  });
  app.addHook('onRoute', (route) => {
    if (isForeign(route.url)) return;
    route.schema = { querystring: noQuery, ...route.schema };
  });
  await app.register(swagger, {
    openapi: description,
    transformObject: (document) => {
      if ('openapiObject' in document) return completed(document.openapiObject);
      throw new TypeError('The document is written as OpenAPI 3.1.');
    },
    refResolver: { buildLocalReference: (json, _base, _fragment, i) => String(json.$id ?? `def-${i}`) },
  });
  await app.register(swaggerUi, {
    routePrefix: '/docs',
    staticCSP: true,
    // The service speaks plain HTTP: a browser that asked for https:// instead would show an empty page.
    transformStaticCSP: (header) =>
      header.replace(/ *upgrade-insecure-requests;?/, '').replace(' validator.swagger.io', ''),
    // The document is nobody else's business.
    uiConfig: { validatorUrl: null },
  });

  limited(app, parts, settings.checkLimit, 'checks', [checkRoutes, statusRoutes, gatewayRoutes]);
  limited(app, parts, settings.adminLimit, 'administration', [
    ruleRoutes,
    auditRoutes,
    recoveryRoutes,
    listRoutes,
    userRoutes,
    analyticsRoutes,
  ]);
  limited(app, parts, false, 'operations', [operationRoutes]);
  await app.ready();
  return app;
}

const lacksHost = { parameter: 'host', detail: 'The header field is missing: every request of HTTP/1.1 has one.' };

/** Whether the query is not ours to check: behind the path of a gateway it is the client's, and /docs is a plugin. */
function isForeign(url: string): boolean {
  return url.startsWith('/ratelimit/auth/') || url.startsWith('/docs');
}

/** Routes that share the service's own limit, per address. */
function limited(
  app: FastifyInstance,
  parts: RouteParts,
  limit: RouteParts['settings']['adminLimit'],
  name: string,
  routes: readonly Routes[],
): void {
  app.register(async (scope) => {
    if (limit !== false)
      await scope.register(rateLimit, {
        name,
        limits: [limit],
        key: 'ip',
        headers: false,
        identity: { trustedProxies: [] },
      });
    for (const add of routes) await scope.register(async (own) => add(own, parts));
  });
}
