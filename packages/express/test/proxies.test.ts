import express, { type Express } from 'express';
import supertest from 'supertest';
import { expect, test } from 'vitest';
import { rateLimit } from '../src/index.ts';

function app(trust: unknown): Express {
  const app = express();
  if (trust !== undefined) app.set('trust proxy', trust);
  app.use(rateLimit('1/1h'));
  app.get('/', (_req, res) => res.send('done'));
  return app;
}

async function statuses(app: Express, ...forwarded: string[]): Promise<number[]> {
  const statuses: number[] = [];
  for (const value of forwarded) statuses.push((await supertest(app).get('/').set('x-forwarded-for', value)).status);
  return statuses;
}

test("'trust proxy' 1 takes the address that the one proxy has added", async () => {
  const one = app(1);
  expect(await statuses(one, '198.51.100.1, 192.0.2.1', '198.51.100.2, 192.0.2.1', '192.0.2.2')).toEqual([
    200, 429, 200,
  ]);
});

test("'trust proxy' 2 takes the address that the outer of two proxies has added", async () => {
  const two = app(2);
  const outer = ['1.1.1.1, 192.0.2.1, 10.0.0.1', '2.2.2.2, 192.0.2.1, 10.0.0.2', '1.1.1.1, 192.0.2.2, 10.0.0.1'];
  expect(await statuses(two, ...outer)).toEqual([200, 429, 200]);
});

test("'trust proxy' by a function that believes everybody is no way to be a new client", async () => {
  const all = app(() => true);
  expect(await statuses(all, '198.51.100.1, 192.0.2.1', '198.51.100.2, 192.0.2.1')).toEqual([200, 429]);
});

test('a mounted app goes by the proxy setting of the app it is mounted in', async () => {
  const parent = express();
  parent.set('trust proxy', 1);
  parent.use(app(undefined));
  expect(await statuses(parent, '198.51.100.1, 192.0.2.1', '198.51.100.2, 192.0.2.1', '192.0.2.2')).toEqual([
    200, 429, 200,
  ]);
});
