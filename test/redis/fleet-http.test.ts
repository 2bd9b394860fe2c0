import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { RedisServer } from '../support/redis/server.js';
import { Fleet } from './support/fleet.js';

const limit = 500;
const perProcess = 400;

let server: RedisServer;
let fleet: Fleet | undefined;
beforeAll(async () => {
  server = await RedisServer.start();
});
afterEach(async () => {
  await fleet?.stop();
});
afterAll(async () => {
  await server?.stop();
});

interface Answer {
  readonly status: number;
  readonly headers: ReadonlyMap<string, string>;
}

/**
 * Starts apps that share one limit. Asks each of them once, then all of them at once, then each of them once more, so that
 * each has granted and refused. Resolves to the answers of each.
 */
async function answersOf(name: string, frameworks: readonly string[]): Promise<readonly (readonly Answer[])[]> {
  const args = frameworks.map((framework) => [framework, String(server.port), name]);
  fleet = new Fleet('app.ts', args);
  const ports = await fleet.hear<number>();
  const once = () => Promise.all(ports.map(ask));
  const first = await once();
  const burst = ports.map((port) => Promise.all(Array.from({ length: perProcess - 2 }, () => ask(port))));
  const answers = await Promise.all(burst);
  const last = await once();
  return answers.map((its, i) => [first[i]!, ...its, last[i]!]);
}

async function ask(port: number): Promise<Answer> {
  const response = await fetch(`http://127.0.0.1:${port}/`);
  await response.arrayBuffer();
  return { status: response.status, headers: new Map(response.headers) };
}

const granted = ({ status }: Answer) => status === 200;
const refused = ({ status }: Answer) => status === 429;
const countdown = Array.from({ length: limit }, (_, left) => left);

/** The values of a field in all answers, each once. */
function valuesOf(field: string, answers: readonly Answer[]): readonly (string | undefined)[] {
  return [...new Set(answers.map(({ headers }) => headers.get(field)))];
}

/** An answer without what differs from one moment to the next. */
function lasting({ headers }: Answer): Readonly<Record<string, string>> {
  const { date, 'x-ratelimit-remaining': remaining, 'retry-after': retry, ...others } = Object.fromEntries(headers);
  return { ...others, retries: String(retry !== undefined) };
}

function expectOneLimit(fleet: readonly (readonly Answer[])[]): void {
  const all = fleet.flat();
  expect(all.filter(granted)).toHaveLength(limit);
  expect(all.filter(refused)).toHaveLength(all.length - limit);

  expect(valuesOf('x-ratelimit-limit', all)).toEqual([String(limit)]);
  expect(valuesOf('x-ratelimit-reset', all)).toEqual([expect.stringMatching(/^\d+$/)]);
  // Of the whole fleet, each grant leaves one unit less than another.
  const left = all.filter(granted).map(({ headers }) => Number(headers.get('x-ratelimit-remaining')));
  expect(left.sort((a, b) => a - b)).toEqual(countdown);
  expect(valuesOf('x-ratelimit-remaining', all.filter(refused))).toEqual(['0']);

  for (const { headers } of all.filter(refused)) expect(headers.get('retry-after')).toMatch(/^[1-9]\d*$/);
  expect(valuesOf('retry-after', all.filter(granted))).toEqual([undefined]);
}

describe('processes with one Redis', () => {
  it.each(['express', 'koa', 'fastify'])(
    'grant exactly the limit together, in the same words: %s',
    async (framework) => {
      const [one, other] = await answersOf(framework, [framework, framework]);
      expectOneLimit([one!, other!]);
      expect(lasting(other!.find(granted)!)).toEqual(lasting(one!.find(granted)!));
      expect(lasting(other!.find(refused)!)).toEqual(lasting(one!.find(refused)!));
    },
  );

  it('grant exactly the limit together where each is of another framework', async () => {
    expectOneLimit(await answersOf('mixed', ['express', 'koa', 'fastify']));
  });
});
