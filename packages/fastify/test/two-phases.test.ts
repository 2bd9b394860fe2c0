import { fastify } from 'fastify';
import { expect, test } from 'vitest';
import { rateLimit } from '../src/index.ts';
import { done, pluginHook, statuses } from './asking.ts';

test('a plugin that is not global limits by address before authentication where a route has limits of its own', async () => {
  const app = fastify();
  let checked = 0;
  await app.register(rateLimit, { global: false, limit: 100, window: '1h', beforeAuth: '2/1h' });
  app.addHook('preValidation', async () => void checked++);
  app.get('/own', { config: { rateLimit: '50/1h' } }, done);
  app.get('/other', { config: { rateLimit: '50/1h' } }, done);
  expect(await statuses(app, '/own', '/other', '/own', '/other')).toEqual([200, 200, 429, 429]);
  expect(checked).toBe(2);
});

test('what a plugin that is not global leaves alone, it leaves alone before authentication too', async () => {
  const app = fastify();
  await app.register(rateLimit, { global: false, limit: 100, window: '1h', beforeAuth: '1/1h' });
  app.get('/', done);
  app.get('/none', { config: { rateLimit: false } }, done);
  app.get('/hook', { preHandler: pluginHook(app) }, done);
  expect(await statuses(app, '/', '/', '/none', '/none', '/nothing', '/nothing')).toEqual([
    200, 200, 200, 200, 404, 404,
  ]);
  // The plugin's own hook has both phases.
  expect(await statuses(app, '/hook', '/hook', '/')).toEqual([200, 429, 200]);
});
