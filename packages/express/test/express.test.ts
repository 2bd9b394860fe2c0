import { MemoryStore, type SluiceError } from '@sluice/core';
import express5 from 'express';
import express4 from 'express4';
import supertest from 'supertest';
import { describe, expect, test } from 'vitest';
import { rateLimit } from '../src/index.ts';

describe.each([
  ['Express 5', express5],
  ['Express 4', express4],
])('%s', (_, express) => {
  test('a router of its own limits has them wherever it is mounted', async () => {
    const router = express.Router();
    router.use(rateLimit('2/1h'));
    router.get('/', (req, res) => res.json(req.rateLimit?.remaining));
    const app = express();
    app.use('/v1', router);
    app.use('/v2', router);
    app.get('/', (_req, res) => res.json('free'));

    expect((await supertest(app).get('/v1')).body).toBe(1);
    expect((await supertest(app).get('/v2')).body).toBe(0);
    expect((await supertest(app).get('/v1')).status).toBe(429);
    const free = await supertest(app).get('/');
    expect(free.status).toBe(200);
    expect(free.headers).not.toHaveProperty('x-ratelimit-limit');
  });

  test('two routes can share one limiter', async () => {
    const app = express();
    const strict = rateLimit({ limit: 1, window: '1h' });
    app.get('/a', strict, (_req, res) => res.send('a'));
    app.get('/b', strict, (_req, res) => res.send('b'));
    expect((await supertest(app).get('/a')).status).toBe(200);
    expect((await supertest(app).get('/b')).status).toBe(429);
    expect((await supertest(app).get('/a')).status).toBe(429);
  });

  test('limiters that share a store keep apart by their names', async () => {
    const store = new MemoryStore();
    const app = express();
    app.get('/a', rateLimit({ name: 'a', limit: 1, store }), (_req, res) => res.send('a'));
    app.get('/b', rateLimit({ name: 'b', limit: 1, store }), (_req, res) => res.send('b'));
    expect((await supertest(app).get('/a')).status).toBe(200);
    expect((await supertest(app).get('/b')).status).toBe(200);
    expect((await supertest(app).get('/a')).status).toBe(429);
  });

  test('the handler runs once, and an error of its own is not taken for one of the limiter', async () => {
    const app = express();
    let runs = 0;
    app.use(rateLimit());
    app.get('/', () => {
      runs++;
      throw new Error('of the handler');
    });
    const seen: unknown[] = [];
    app.use((error: Error, _req: unknown, res: express5.Response, _next: unknown) => {
      seen.push(error.message);
      res.status(500).end();
    });
    expect((await supertest(app).get('/')).status).toBe(500);
    expect(runs).toBe(1);
    expect(seen).toEqual(['of the handler']);
  });
});

test('options that cannot work throw when the middleware is created', () => {
  expect(() => rateLimit({ limit: Number.NaN })).toThrow(
    expect.objectContaining({ code: 'INVALID_POLICY' } satisfies Partial<SluiceError>),
  );
});
