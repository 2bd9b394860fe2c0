import express from 'express';
import request from 'supertest';
import { expect, test } from 'vitest';
import { rateLimit } from '../src/index.ts';

test('using the factory itself as a middleware fails, and says to call it', async () => {
  const app = express();
  app.use(rateLimit as unknown as express.RequestHandler);
  app.use(((error, _req, res, _next) => res.status(500).send(error.message)) as express.ErrorRequestHandler);
  const { status, text } = await request(app).get('/');
  expect(status).toBe(500);
  expect(text).toContain('app.use(rateLimit())');
});
