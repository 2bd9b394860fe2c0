import { fastify } from 'fastify';
import { expect, test } from 'vitest';
import { rateLimit } from '../src/index.ts';
import { done, statuses } from './asking.ts';

const once = { limit: 1, window: '1h' } as const;

test('without a ban of the plugin, the ban of a route is of that route alone', async () => {
  const app = fastify();
  await app.register(rateLimit, { limit: 100, window: '1h' });
  app.get('/', { config: { rateLimit: { ...once, penalty: { banAfter: 2 } } } }, done);
  app.get('/own', { config: { rateLimit: once } }, done);
  app.get('/other', done);
  expect(await statuses(app, '/', '/', '/', '/')).toEqual([200, 429, 403, 403]);
  expect(await statuses(app, '/own', '/other')).toEqual([200, 200]);
});

test('what a route refuses counts towards the ban of the plugin, which is of every route', async () => {
  const app = fastify();
  await app.register(rateLimit, { limit: 100, window: '1h', penalty: { banAfter: 2 } });
  app.get('/', { config: { rateLimit: once } }, done);
  app.get('/blocking', { config: { rateLimit: { ...once, penalty: '5m' } } }, done);
  app.get('/other', done);
  expect(await statuses(app, '/', '/', '/', '/other', '/blocking')).toEqual([200, 429, 403, 403, 403]);
});

test('a ban of its own beside that of the plugin is refused, with the remedy', async () => {
  const app = fastify();
  await app.register(rateLimit, { limit: 100, window: '1h', penalty: { banAfter: 50 } });
  const own = { name: 'own', ...once, penalty: { banAfter: 2 } };
  const error = expect.objectContaining({ code: 'INVALID_OPTION', message: expect.stringMatching(/'own'.*Leave/) });
  expect(() => app.get('/', { config: { rateLimit: own } }, done)).toThrow(error);
  expect(() => app.rateLimit(own)).toThrow(error);
  expect(() => app.createRateLimit(own)).toThrow(error);
});
