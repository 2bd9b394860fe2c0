import { AccessList } from '@sluice/core';
import { fastify } from 'fastify';
import { expect, test } from 'vitest';
import { rateLimit } from '../src/index.ts';
import { done, statuses } from './asking.ts';

test('fastify.rateLimiter tells what a client has taken, and forgets it', async () => {
  const app = fastify();
  app.register(rateLimit, { limit: 1, window: '1h' });
  app.get('/', done);
  expect(await statuses(app, '/', '/')).toEqual([200, 429]);
  expect(await app.rateLimiter.get('127.0.0.1')).toMatchObject([{ policy: 'default', limit: 1, remaining: 0 }]);
  expect(await app.rateLimiter.get('192.0.2.1')).toEqual([]);
  await app.rateLimiter.reset('127.0.0.1');
  expect(await app.rateLimiter.get('127.0.0.1')).toEqual([]);
  expect(await statuses(app, '/')).toEqual([200]);
});

test('explain says which rule matches and who is limited, and charges nothing', async () => {
  const app = fastify();
  app.register(rateLimit, { limit: 9, window: '1h', rules: [{ match: '/users/:id', limit: 2, window: '1h' }] });
  app.get('/users/:id', async (request) => {
    const { outcome, rule, identity, policies } = await app.rateLimiter.explain(request);
    return { outcome, rule, identity, left: policies[0]?.decision.remaining };
  });
  const { body } = await app.inject('/users/7');
  expect(JSON.parse(body)).toMatchObject({
    outcome: 'allowed',
    rule: '/users/:id',
    identity: { key: 'ip:127.0.0.1', from: 'ip' },
  });
  expect(await statuses(app, '/users/8', '/users/9')).toEqual([200, 429]);
});

test('a list that changes while the app runs goes for routes with limits of their own too', async () => {
  const block = new AccessList();
  const app = fastify();
  app.register(rateLimit, { limit: 100, window: '1h', lists: { block } });
  app.get('/', done);
  app.get('/own', { config: { rateLimit: '50/1h' } }, done);
  expect(await statuses(app, '/', '/own')).toEqual([200, 200]);
  block.add('127.0.0.0/8');
  expect(await statuses(app, '/', '/own', '/nothing')).toEqual([403, 403, 403]);
  block.delete('127.0.0.0/8');
  expect(await statuses(app, '/', '/own')).toEqual([200, 200]);
});

test('close is done with the app, and once more does no harm', async () => {
  const app = fastify();
  app.register(rateLimit, { limit: 1, window: '1h' });
  await app.ready();
  await app.close();
  await app.rateLimiter.close();
  await expect(app.rateLimiter.get('192.0.2.1')).rejects.toMatchObject({ code: 'CLOSED' });
});
