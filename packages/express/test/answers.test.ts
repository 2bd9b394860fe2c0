import type { RequestDecision } from '@sluice/core';
import { ManualClock } from '@sluice/testing';
import express5 from 'express';
import express4 from 'express4';
import supertest from 'supertest';
import { describe, expect, test } from 'vitest';
import { type ExpressRateLimitOptions, RateLimitError, rateLimit } from '../src/index.ts';

describe.each([
  ['Express 5', express5],
  ['Express 4', express4],
])('%s', (_, express) => {
  function appWith(options: ExpressRateLimitOptions) {
    const app = express();
    const clock = new ManualClock();
    app.use(rateLimit({ limit: 1, window: '1m', algorithm: 'fixed-window', clock, ...options }));
    let handled = 0;
    app.get('/', (req, res) => {
      const { quota, rateLimit } = req as { quota?: unknown; rateLimit?: unknown };
      res.json({ handled: ++handled, quota, rateLimit });
    });
    return app;
  }

  test.each([
    ['at once', () => 'answered' as const],
    ['later', async () => 'answered' as const],
  ])('onLimited answers by itself, %s, with the fields in place', async (_, answered) => {
    let decision: RequestDecision | undefined;
    const app = appWith({
      onLimited(req, refused, res) {
        expect(req.rateLimit).toBeUndefined();
        decision = refused;
        res
          .status(420)
          .type('text')
          .send(`calm down, ${res.getHeader('Retry-After')} s`);
        return answered();
      },
    });
    expect((await supertest(app).get('/')).body.handled).toBe(1);
    const refused = await supertest(app).get('/');
    expect(refused.status).toBe(420);
    expect(refused.text).toBe('calm down, 60 s');
    expect(refused.headers).toMatchObject({
      'content-type': 'text/plain; charset=utf-8',
      'cache-control': 'no-store',
      'retry-after': '60',
      'x-ratelimit-remaining': '0',
    });
    expect(decision).toMatchObject({ allowed: false, policy: 'default' });
  });

  test.each<[string, NonNullable<ExpressRateLimitOptions['onLimited']>]>([
    ['returns the response', (_req, _refused, res) => res.status(420).json({ calm: 'down' }) as never],
    ['returns it later', async (_req, _refused, res) => res.status(420).json({ calm: 'down' }) as never],
    ['has ended it', (_req, _refused, res) => void res.status(420).json({ calm: 'down' })],
    ['ends it later', async (_req, _refused, res) => void res.status(420).json({ calm: 'down' })],
  ])('onLimited that %s has answered, and is no error', async (_, onLimited) => {
    const app = appWith({ onLimited });
    const errors: unknown[] = [];
    app.use((error: unknown, _req: express5.Request, _res: express5.Response, next: express5.NextFunction) => {
      errors.push(error);
      next(error);
    });
    await supertest(app).get('/');
    const refused = await supertest(app).get('/');
    expect([refused.status, refused.body]).toEqual([420, { calm: 'down' }]);
    expect(refused.headers['retry-after']).toBe('60');
    expect(errors).toEqual([]);
  });

  test('onBanned answers by itself', async () => {
    const app = appWith({
      penalty: { banAfter: 1 },
      onBanned(_req, _decision, res) {
        res.redirect('https://app.example/banned');
        return 'answered';
      },
    });
    await supertest(app).get('/');
    const banned = await supertest(app).get('/');
    expect(banned.status).toBe(302);
    expect(banned.headers['retry-after']).toBe('86400');
  });

  test('the decision is put on the request under the name of property, and under no other', async () => {
    const app = appWith({ response: { property: 'quota' } });
    const { body } = await supertest(app).get('/');
    expect(body.quota).toMatchObject({ allowed: true, remaining: 0, used: 1, key: expect.stringMatching(/^ip:/) });
    expect(Date.parse(body.quota.resetAt)).toBeGreaterThan(0);
    expect(body.rateLimit).toBeUndefined();
  });

  test('without an error handler of the app, a refusal that is thrown is a 429', async () => {
    const app = appWith({ response: { throw: true } });
    app.set('env', 'test');
    await supertest(app).get('/');
    const refused = await supertest(app).get('/');
    expect(refused.status).toBe(429);
    expect(refused.headers['retry-after']).toBe('60');
    expect(refused.text).toContain('default');
  });

  test('an error handler tells a refusal from other errors', async () => {
    const app = appWith({ response: { throw: true } });
    app.use((error: unknown, _req: express5.Request, res: express5.Response, next: express5.NextFunction) => {
      if (!(error instanceof RateLimitError)) return next(error);
      res.status(error.status).json({ again: error.decision.retryAfter });
    });
    await supertest(app).get('/');
    expect((await supertest(app).get('/').expect(429)).body).toEqual({ again: 60_000 });
  });
});
