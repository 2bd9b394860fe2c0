// What do the processes of this part do: one is the service, one is an empty route, and one sends the requests?
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { pathToFileURL } from 'node:url';
import { fastify } from 'fastify';
import type { RuleDocument, Settings, StorageSettings, startService } from '../../packages/server/src/index.ts';
import type { Tasks } from './child.js';
import { type Job, type Timing, time } from './service-load.js';
import { type Endpoint, requestsTo, type Wire } from './service-requests.js';

export interface Round extends Job {
  readonly endpoint: Endpoint;
  readonly users: number;
}

/** As pnpm would link it: the compiled package or, under the condition `source`, its sources. */
const require = createRequire(new URL('../../packages/server/package.json', import.meta.url));

const limit = 100_000_000;
const rules: readonly RuleDocument[] = [
  {
    id: 'login',
    endpoint: '/login',
    methods: ['GET', 'POST'],
    algorithm: 'sliding-window-counter',
    limit,
    window: '1h',
  },
  { id: 'users', endpoint: '/users/:id', algorithm: 'token-bucket', limit, window: '1h' },
  { id: 'files', endpoint: '/files/*', algorithm: 'fixed-window', limit, window: '1h' },
  { id: 'uploads', endpoint: '/uploads/*', methods: ['PUT'], algorithm: 'leaky-bucket', limit: 10, window: '1m' },
];

export const tasks = (): Tasks => {
  const wires = new Map<Endpoint, readonly Wire[]>();
  return {
    async startService(storage: StorageSettings): Promise<number> {
      const url = pathToFileURL(require.resolve('@sluice/server')).href;
      const server = (await import(url)) as { startService: typeof startService };
      const service = await server.startService({ ...settings, storage });
      return Number(new URL(service.url).port);
    },
    startEmpty,
    /** Microseconds of processor time up to now, of all threads of the process. */
    usage: () => {
      const { user, system } = process.cpuUsage();
      return user + system;
    },
    run({ endpoint, users, ...job }: Round): Promise<Timing> {
      let own = wires.get(endpoint);
      if (own === undefined) {
        own = requestsTo(endpoint, users);
        wires.set(endpoint, own);
      }
      return time(job, own);
    },
  };
};

/** Where nothing is said: the defaults of the command, but for the limit, which nobody comes to. */
const settings: Omit<Settings, 'storage'> = {
  host: '127.0.0.1',
  port: 0,
  defaults: { algorithm: 'token-bucket', limit, window: '1h' },
  rules,
  lists: { allow: ['192.0.2.0/24'], block: ['198.51.100.0/24', 'user:nobody'] },
  adminTokens: [],
  checkTokens: [],
  headers: 'legacy',
  userTtl: '30d',
  maxUsers: 1_000_000,
  maxKeys: 1_000_000,
  adminLimit: false,
  checkLimit: false,
  bodyLimit: 1_048_576,
  logLevel: 'silent',
};

/** What the service answers, without anything behind it. */
const answer = {
  allowed: true,
  reason: 'granted',
  rule: 'users',
  policy: 'users',
  limit,
  remaining: limit - 1,
  reset_at: '2026-11-21T18:00:00.000Z',
  retry_after: 0,
  delay_ms: 0,
  key: 'user:user-000017',
  tier: null,
  source: 'store',
};

async function startEmpty(): Promise<number> {
  const app = fastify();
  app.post('/ratelimit/check', (_request, reply) => reply.send(answer));
  for (const path of ['/check', '/ratelimit/auth']) app.get(path, (_request, reply) => reply.send(answer));
  await app.listen({ port: 0, host: '127.0.0.1' });
  return (app.server.address() as AddressInfo).port;
}
