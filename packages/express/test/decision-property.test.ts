import { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import express5, { type Request, type Response } from 'express';
import express4 from 'express4';
import supertest from 'supertest';
import { describe, expect, test } from 'vitest';
import { rateLimit } from '../src/index.ts';

describe.each([
  ['Express 5', express5],
  ['Express 4', express4],
])('the decision on a request of %s', (_, express) => {
  test('is read in the app, in one that is mounted, and behind that', async () => {
    const seen: unknown[] = [];
    const look = (req: Request, _res: Response, next: () => void) => {
      seen.push(req.rateLimit?.remaining);
      next();
    };
    const app = express();
    const mounted = express();
    app.use(look, rateLimit({ name: 'outer', limit: 9, window: '1h' }), look);
    mounted.use(look, rateLimit({ name: 'inner', limit: 5, window: '1h' }), look);
    app.use('/api', mounted);
    app.use(look, (_req, res) => res.json('done'));
    for (let i = 0; i < 2; i++) expect((await supertest(app).get('/api')).status).toBe(200);
    expect(seen).toEqual([undefined, 8, 8, 4, 4, undefined, 7, 7, 3, 3]);
  });

  test('is of that request alone, while others are under way', async () => {
    const app = express();
    const waiting: (() => void)[] = [];
    app.use(rateLimit({ limit: 9, window: '1h' }));
    app.get('/', (req, res) => {
      waiting.push(() => res.json(req.rateLimit?.remaining));
      if (waiting.length === 3) for (const answer of waiting) answer();
    });
    const answers = await Promise.all([1, 2, 3].map(() => supertest(app).get('/')));
    expect(answers.map(({ body }) => body).sort()).toEqual([6, 7, 8]);
  });

  test.each<[string, (req: Request) => unknown]>([
    ['frozen', (req) => Object.freeze(req.rawHeaders)],
    ['gone', (req) => Object.assign(req, { rawHeaders: undefined })],
  ])('is read where the list of raw headers is %s', async (_state, spoil) => {
    const app = express();
    app.use((req, _res, next) => {
      spoil(req);
      next();
    });
    app.use(rateLimit({ name: 'tight', limit: 9, window: '1h' }), rateLimit({ name: 'wide', limit: 99, window: '1h' }));
    app.get('/', (req, res) => res.json(req.rateLimit?.remaining));
    for (const left of [8, 7]) expect((await supertest(app).get('/')).body).toBe(left);
  });

  test('gives way to what the application puts in its place', async () => {
    const app = express();
    app.use(rateLimit({ limit: 9, window: '1h' }));
    app.use((req, _res, next) => {
      Object.assign(req, { rateLimit: 'mine' });
      next();
    });
    app.get('/', (req, res) => res.json(req.rateLimit));
    for (let i = 0; i < 2; i++) expect((await supertest(app).get('/')).body).toBe('mine');
  });

  test('is read by another name, too, and by that alone', async () => {
    const app = express();
    app.use(rateLimit({ limit: 9, window: '1h', response: { property: 'quota' } }));
    app.get('/', (req, res) => res.json([(req as { quota?: { remaining: number } }).quota?.remaining, req.rateLimit]));
    for (const left of [8, 7]) expect((await supertest(app).get('/')).body).toEqual([left, null]);
  });

  test('is read where the application has a property of that name for all its requests', async () => {
    const app = express();
    Object.defineProperty(app.request, 'mine', { value: undefined, writable: true, configurable: true });
    app.use(rateLimit({ limit: 9, window: '1h', response: { property: 'mine' } }));
    app.get('/', (req, res) => res.json((req as { mine?: { remaining: number } }).mine?.remaining));
    for (const left of [8, 7]) expect((await supertest(app).get('/')).body).toBe(left);
  });
});

test('a request that is not of Express has the decision as a property of its own', () => {
  const socket = Object.defineProperty(new Socket(), 'remoteAddress', { value: '192.0.2.1' });
  const app = { get: () => undefined };
  const req = Object.assign(new IncomingMessage(socket), { app, ip: '192.0.2.1' }) as unknown as Request;
  const res = { setHeader: () => {}, destroyed: false } as unknown as Response;
  let passed = 0;
  rateLimit({ limit: 9, window: '1h' })(req, res, () => passed++);
  expect(passed).toBe(1);
  expect(Object.keys(req)).toContain('rateLimit');
  expect(req.rateLimit?.remaining).toBe(8);
});
