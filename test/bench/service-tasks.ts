// What do the processes of this part do: one is the service, one is an empty route, and one sends the requests?
import type { AddressInfo } from 'node:net';
import { type RuleDocument, type Settings, type StorageSettings, startService } from '@sluice/server';
import { fastify } from 'fastify';
import type { Tasks } from './child.js';
import { type Job, type Timing, time } from './service-load.js';
import { type Endpoint, requestsTo, type Wire } from './service-requests.js';

export interface Round extends Job {
  readonly endpoint: Endpoint;
  readonly users: number;
}

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
      const service = await startService({ ...settings, storage });
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
const settings: Partial<Settings> = {
  port: 0,
  defaults: { algorithm: 'token-bucket', limit, window: '1h' },
  rules,
  lists: { allow: ['192.0.2.0/24'], block: ['198.51.100.0/24', 'user:nobody'] },
  adminLimit: false,
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
