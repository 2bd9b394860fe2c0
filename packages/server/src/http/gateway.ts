import type { FastifyRequest } from 'fastify';
import type { Check } from '../decisions/check.js';
import { Problem } from '../problem.js';
import { answering } from './answering.js';
import { checkOf } from './check-body.js';
import { limitFields, refusalFields } from './field-schemas.js';
import type { Routes } from './route-parts.js';
import { problems } from './schemas.js';

interface GatewayQuery {
  readonly ip: string;
  readonly api_key: string;
  readonly user?: string;
  readonly tier?: string;
  readonly uri?: string;
  readonly method?: string;
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
    uri: {
      ...headerName,
      description:
        'The header field in which the gateway tells the request target. Default: X-Original-URI, X-Original-URL or ' +
        'X-Forwarded-Uri, of which there may be only one.',
    },
    method: {
      ...headerName,
      description:
        'The header field in which the gateway tells the method. Default: X-Original-Method or X-Forwarded-Method, of ' +
        'which there may be only one.',
    },
    refused: {
      type: 'integer',
      enum: [403, 429],
      default: 429,
      description: 'The status of a refusal: nginx passes on no other than 401 and 403.',
    },
  },
} as const;

/** What Envoy, whose clients write the query themselves, is taken to be set to. */
const ofEnvoy: GatewayQuery = { ip: 'x-forwarded-for', api_key: 'x-api-key', refused: 429 };

const uris = ['x-original-uri', 'x-original-url', 'x-forwarded-uri'] as const;
const requestMethods = ['x-original-method', 'x-forwarded-method'] as const;

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
  const schema = {
    tags: ['decisions'],
    response: {
      200: { description: 'The request may pass.', $ref: 'Answer#', ...limitFields },
      403: {
        description: 'The request may not pass, and the gateway wants that status; or the client is blocked.',
        $ref: 'Answer#',
        ...refusalFields,
      },
      429: { description: 'The request may not pass.', $ref: 'Answer#', ...refusalFields },
      400: problems[400],
      401: problems[401],
    },
  };
  const decide = answering(decider, metrics);

  app.route<{ Querystring: GatewayQuery }>({
    url: '/ratelimit/auth',
    method: ['GET', 'POST'],
    onRequest: access.requires('check'),
    schema: {
      ...schema,
      summary: 'Decides on a request that a gateway has received',
      description:
        'The gateway must set the field that tells the address itself, and X-Original-URI and X-Original-Method (nginx) or ' +
        'X-Forwarded-Uri and X-Forwarded-Method (Traefik). What a client might send beside them, the gateway takes out, or ' +
        'uri and method name the fields that count. Envoy puts the path behind that of this endpoint.',
      querystring: query,
    },
    handler: (request, reply) => {
      const { query } = request;
      const endpoint = told(request, query.uri, uris);
      const method = told(request, query.method, requestMethods) ?? request.method;
      return decide(reply, checkFrom(request, query, endpoint, method), query.refused, 403);
    },
  });

  // The path and the query behind it are the client's, and so may be every field that Envoy was not told to set.
  app.route({
    url: '/ratelimit/auth/*',
    method: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'],
    onRequest: access.requires('check'),
    schema: { ...schema, hide: true },
    handler: (request, reply) => {
      const endpoint = request.url.slice('/ratelimit/auth'.length);
      return decide(reply, checkFrom(request, ofEnvoy, endpoint, request.method), ofEnvoy.refused, 403);
    },
  });
};

function fieldOf({ headers }: FastifyRequest, name: string): string | undefined {
  const value = headers[name.toLowerCase()];
  return typeof value === 'string' && value !== '' ? value : undefined;
}

/**
 * What the gateway tells in the field that it was set to, or in the one of the usual fields that is there.
 * @throws Problem 400 for several: gateways pass on what clients send, and of two fields one may be a client's.
 */
function told(request: FastifyRequest, name: string | undefined, usual: readonly string[]): string | undefined {
  if (name !== undefined) return fieldOf(request, name);
  const [first, second] = usual.filter((one) => fieldOf(request, one) !== undefined);
  if (first === undefined || second === undefined) return first && fieldOf(request, first);
  const parameter = usual === uris ? 'uri' : 'method';
  const detail =
    `There are ${first} and ${second}, of which one may be the client's. Name the one that the gateway sets: ` +
    `/ratelimit/auth?${parameter}=…`;
  throw new Problem(400, 'Invalid request', detail, [{ parameter: second, detail }]);
}

/**
 * The check that a gateway's request stands for.
 * @throws Problem 400 where the gateway does not tell what is needed.
 */
function checkFrom(request: FastifyRequest, names: GatewayQuery, endpoint: string | undefined, method: string): Check {
  const text = (name: string | undefined) => (name === undefined ? undefined : fieldOf(request, name));
  const ip = text(names.ip)?.split(',').at(-1)?.trim();
  if (ip === undefined) {
    throw new Problem(
      400,
      'Invalid request',
      `The gateway has not told the address of the client: the header field ${names.ip} is missing. With nginx: ` +
        `proxy_set_header X-Forwarded-For $remote_addr;`,
      [{ parameter: names.ip, detail: 'The header field is missing.' }],
    );
  }
  const check = {
    ip,
    api_key: text(names.api_key),
    user_id: text(names.user),
    tier: text(names.tier),
    method,
    endpoint,
  };
  const fields = {
    ip: names.ip,
    api_key: names.api_key,
    user_id: names.user,
    tier: names.tier,
    endpoint: names.uri ?? 'uri',
  };
  return checkOf(check, (field) => ({ parameter: fields[field] ?? field }));
}
