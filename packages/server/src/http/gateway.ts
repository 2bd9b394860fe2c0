import type { FastifyRequest } from 'fastify';
import type { Check } from '../decisions/check.js';
import { Problem } from '../problem.js';
import { checkOf } from './check-body.js';
import type { Routes } from './route-parts.js';
import { problems } from './schemas.js';

interface GatewayQuery {
  readonly ip: string;
  readonly api_key: string;
  readonly user?: string;
  readonly tier?: string;
  readonly refused: number;
}

const headerName = { type: 'string', pattern: '^[A-Za-z0-9-]{1,64}$' } as const;

const query = {
  type: 'object',
  additionalProperties: false,
  properties: {
    ip: {
      ...headerName,
      default: 'x-forwarded-for',
      description:
        'The header field in which the gateway tells the address of the client; of several, the last is his.',
    },
    api_key: { ...headerName, default: 'x-api-key', description: 'The header field with the API key.' },
    user: { ...headerName, description: 'The header field in which the gateway tells the user. Default: none.' },
    tier: { ...headerName, description: 'The header field in which the gateway tells the tier. Default: none.' },
    refused: {
      type: 'integer',
      enum: [403, 429],
      default: 429,
      description: 'The status of a refusal: nginx passes on no other than 401 and 403.',
    },
  },
} as const;

/**
 * Decisions for gateways that ask with the header of the request they have received: `auth_request` of nginx,
 * `forwardAuth` of Traefik, `ext_authz` of Envoy. What stands in the query of the URL, the gateway has been set to.
 */
export const gatewayRoutes: Routes = (app, { decider, access, metrics }) => {
  // What came with the request is not for us.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', (_request, payload, done) => {
    payload.resume();
    done(null);
  });
  const methods = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'];
  for (const [url, hide] of [
    ['/ratelimit/auth', false],
    ['/ratelimit/auth/*', true],
  ] as const) {
    app.route<{ Querystring: GatewayQuery }>({
      url,
      method: hide ? methods : ['GET', 'POST'],
      onRequest: async (request) => void access.authorise(request, 'check'),
      schema: {
        hide,
        summary: 'Decides on a request that a gateway has received',
        description:
          'The gateway must set the field that tells the address itself, and X-Original-URI and X-Original-Method (nginx) or ' +
          'X-Forwarded-Uri and X-Forwarded-Method (Traefik); Envoy puts the path behind that of this endpoint.',
        tags: ['decisions'],
        querystring: query,
        response: {
          200: { description: 'The request may pass.', $ref: 'Answer#' },
          403: {
            description: 'The request may not pass, and the gateway wants that status; or the client is blocked.',
            $ref: 'Answer#',
          },
          429: { description: 'The request may not pass.', $ref: 'Answer#' },
          400: problems[400],
          401: problems[401],
        },
      },
      handler: async (request, reply) => {
        const begun = performance.now();
        const { answer, headers } = await decider.check(checkFrom(request));
        metrics.decisionTook((performance.now() - begun) / 1_000);
        const refused = answer.reason === 'block-list' ? 403 : request.query.refused;
        return reply
          .code(answer.allowed ? 200 : refused)
          .headers(headers)
          .header('cache-control', 'no-store')
          .send(answer);
      },
    });
  }
};

/**
 * The check that a gateway's request stands for.
 * @throws Problem 400 where the gateway does not tell what is needed.
 */
function checkFrom(request: FastifyRequest<{ Querystring: GatewayQuery }>): Check {
  const { query, headers, url, method } = request;
  const text = (name: string): string | undefined => {
    const value = headers[name.toLowerCase()];
    return typeof value === 'string' && value !== '' ? value : undefined;
  };
  const ip = text(query.ip)?.split(',').at(-1)?.trim();
  if (ip === undefined) {
    throw new Problem(
      400,
      'Invalid request',
      `The gateway has not told the address of the client: the header field ${query.ip} is missing. With nginx: ` +
        `proxy_set_header X-Forwarded-For $remote_addr;`,
      [{ parameter: query.ip, detail: 'The header field is missing.' }],
    );
  }
  const told = text('x-original-uri') ?? text('x-original-url') ?? text('x-forwarded-uri');
  const behind = url.slice('/ratelimit/auth'.length).replace(/^\?.*$/, '');
  const check = {
    ip,
    api_key: text(query.api_key),
    user_id: query.user === undefined ? undefined : text(query.user),
    tier: query.tier === undefined ? undefined : text(query.tier)?.slice(0, 48),
    method: text('x-original-method') ?? text('x-forwarded-method') ?? method,
    endpoint: told ?? (behind === '' ? undefined : behind),
  };
  const given = Object.entries(check).filter(([, value]) => value !== undefined);
  return checkOf(Object.fromEntries(given));
}
