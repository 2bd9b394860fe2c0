import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RedisServer } from '../../../../test/support/redis/server.ts';
import { dataDirectory, ended, type Started, started } from '../faults/command.ts';
import type { Client } from '../support/client.ts';
import { type Document, Generator, type Sent } from './generator.ts';
import { Random } from './random.ts';
import { type Received, Wire } from './wire.ts';

const seed = Number(process.env.FUZZ_SEED ?? 20_261_121);
/** A service that kept two kilobytes of each request would end for want of memory; 50 MB are what it needs. */
const node = ['--max-old-space-size=192'];
const bounds = ['--max-users', '500', '--admin-limit', 'off', '--limit', '50', '--window', '1m'];
const connections = 32;

/** What is wrong with an answer, whatever it was asked. */
function wrongWith({ status, type, head, body }: Received, { method }: Sent): string | undefined {
  if (status >= 500 && status !== 503) return `the status is ${status}`;
  if (!/^HTTP\/1\.1 [2-5]\d\d /.test(head)) return 'it does not begin as an answer does';
  if (/\r\nx-evil/i.test(head)) return 'a header field was smuggled in';
  if (/\n\s+at |node_modules|\.[jt]s:\d/.test(body)) return 'it shows a stack';
  if (method === 'HEAD' || body === '' || status < 400) return undefined;
  const json = parsed(body);
  if (json === undefined) return 'it is no JSON';
  if (/^application\/problem\+json/.test(type)) {
    return json.status === status && typeof json.title === 'string' && typeof json.detail === 'string'
      ? undefined
      : 'it is no problem';
  }
  // A decision against the request.
  return (status === 429 || status === 403) && json.allowed === false ? undefined : `it is of the type ${type}`;
}

function parsed(body: string): Record<string, unknown> | undefined {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}

async function removeRules(client: Client): Promise<void> {
  const { rules } = (await client.get('/ratelimit/rules?limit=10000')).json;
  for (const { id } of rules) await client.delete(`/ratelimit/rules/${id}`);
}

async function metric(client: Client, name: string): Promise<number> {
  const { text } = await client.get('/metrics');
  return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1]);
}

interface Fuzzed {
  readonly statuses: ReadonlyMap<number, number>;
  readonly heap: readonly number[];
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
}

/** Sends so many requests, and tells how often each status was answered, and the bytes of the heap now and then. */
async function fuzz({ client, running }: Started, count: number, random: Random): Promise<Fuzzed> {
  const document: Document = (await client.get('/openapi.json')).json;
  const generator = new Generator(document, random);
  const statuses = new Map<number, number>();
  const heap: number[] = [];
  let sent = 0;
  const slice = 5_000;
  const port = Number(new URL(client.url).port);
  const wires = Array.from({ length: connections }, () => new Wire(port));
  try {
    while (sent < count) {
      const end = Math.min(count, sent + slice);
      const work = async (wire: Wire) => {
        while (sent < end) {
          sent++;
          const request = generator.request();
          const received = await wire.send(request).catch((cause) => {
            const { exitCode, signalCode } = running.child;
            const end = `${exitCode ?? signalCode ?? 'it runs'}\n${running.stderr.slice(-3_000)}`;
            throw new Error(`There was no answer: ${JSON.stringify(request).slice(0, 3_000)}\n${end}`, { cause });
          });
          const wrong = wrongWith(received, request);
          if (wrong !== undefined) {
            throw new Error(
              `${wrong}: ${JSON.stringify(request).slice(0, 3_000)}\n${received.head}\n${received.body.slice(0, 2_000)}\n${running.stderr.slice(-3_000)}`,
            );
          }
          statuses.set(received.status, (statuses.get(received.status) ?? 0) + 1);
        }
      };
      await Promise.all(wires.map(work));
      await removeRules(client);
      heap.push(await metric(client, 'nodejs_heap_size_used_bytes'));
    }
  } finally {
    for (const wire of wires) wire.close();
  }
  return { statuses, heap };
}

function checkVariety(statuses: ReadonlyMap<number, number>): void {
  // The requests get far enough: no status that a client can cause is missing.
  for (const status of [200, 201, 204, 304, 400, 404, 409, 412, 415, 429]) {
    expect(statuses.get(status) ?? 0, `${status} of ${JSON.stringify([...statuses])}`).toBeGreaterThan(0);
  }
}

describe('a service that is asked all kinds of things', { timeout: 300_000 }, () => {
  it('answers 80,000 requests, none with 500, and keeps no more than it is to', async () => {
    const dataDir = dataDirectory();
    const args = ['--data-dir', dataDir, '--max-keys', '2000', ...bounds];
    const service = await started(args, node);
    const { statuses, heap } = await fuzz(service, 80_000, new Random(seed));
    checkVariety(statuses);
    // Half a kilobyte of each request would be 40 MB; what is kept of the audit log and of analytics is bounded.
    expect(median(heap.slice(-5)) - median(heap.slice(0, 5))).toBeLessThan(30_000_000);
    expect(await metric(service.client, 'sluice_keys')).toBeLessThanOrEqual(2_000);
    expect(await metric(service.client, 'sluice_users')).toBeLessThanOrEqual(500);
    expect(service.running.stderr).toBe('');
    await ended(service);
    // All that it has taken it can read again.
    const next = await started(args, node);
    expect(await metric(next.client, 'sluice_keys')).toBeLessThanOrEqual(2_000);
    await ended(next);
  });
});

describe('a service on Redis that is asked all kinds of things', { timeout: 300_000 }, () => {
  let redis: RedisServer;
  beforeAll(async () => {
    redis = await RedisServer.start();
  });
  afterAll(() => redis.stop());

  it('answers 20,000 requests, none with 500, and keeps no more users than it is to', async () => {
    const args = ['--redis', redis.url, '--instances', '2', ...bounds];
    const service = await started(args, node);
    const { statuses } = await fuzz(service, 20_000, new Random(seed + 1));
    checkVariety(statuses);
    expect(Number(await redis.cli('SCARD', 'ratelimit:users'))).toBeLessThanOrEqual(500);
    // On a busy machine Redis may be late now and then, which the service tells of.
    const { running } = service;
    running.child.kill('SIGTERM');
    const { code, stderr } = await running.ended();
    expect(code, stderr).toBe(0);
    expect(stderr).not.toMatch(/"level":"(?:error|fatal)"/);
    service.client.close();
  });
});
