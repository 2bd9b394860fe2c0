import { type Explanation, MemoryStore } from '@sluice/core';
import { ManualClock } from '@sluice/testing';
import { fastify } from 'fastify';
import { expect, test } from 'vitest';
import { rateLimit } from '../src/index.ts';
import { done, statuses } from './asking.ts';

const client = '127.0.0.1';

test('get and reset are of the plugin, its routes and its hooks', async () => {
  const app = fastify();
  await app.register(rateLimit, { limit: 9, window: '1h' });
  app.get('/own', { config: { rateLimit: { name: 'own', limit: 1, window: '1h' } } }, done);
  app.get('/hook', { preHandler: app.rateLimit({ name: 'hook', limit: 1, window: '1h' }) }, done);
  expect(await statuses(app, '/own', '/own', '/hook', '/hook')).toEqual([200, 429, 200, 429]);
  expect(await app.rateLimiter.get(client)).toMatchObject([
    { policy: 'default', remaining: 7 },
    { policy: 'own', remaining: 0 },
    { policy: 'hook', remaining: 0 },
  ]);
  await app.rateLimiter.reset(client);
  expect(await app.rateLimiter.get(client)).toEqual([]);
  expect(await statuses(app, '/own', '/hook')).toEqual([200, 200]);
});

test('what routes have in common, a group and the ban of the plugin, is told once', async () => {
  const app = fastify();
  await app.register(rateLimit, { limit: 9, window: '1h', penalty: { banAfter: 9 } });
  const group = { limit: 1, window: '1h', group: 'mail' } as const;
  for (const url of ['/a', '/b']) app.get(url, { config: { rateLimit: group } }, done);
  expect(await statuses(app, '/a', '/b')).toEqual([200, 429]);
  const policies = (await app.rateLimiter.get(client)).map(({ policy }) => policy);
  expect(policies.toSorted()).toEqual(['default', 'default-ban', 'mail']);
});

test('a store that is shared can be claimed anew once the app, or its limits, are closed', async () => {
  const store = new MemoryStore();
  const start = async (limit: number) => {
    const app = fastify();
    await app.register(rateLimit, { limit, window: '1h', store });
    app.get('/', { config: { rateLimit: { name: 'own', limit, window: '1h' } } }, done);
    app.get('/hook', { preHandler: app.rateLimit({ name: 'hook', limit, window: '1h' }) }, done);
    app.createRateLimit({ name: 'check', limit, window: '1h' });
    return app;
  };
  const first = await start(1);
  await expect(start(2)).rejects.toThrow();
  await first.close();
  const second = await start(2);
  await second.rateLimiter.close();
  await start(3);
});

test('explain has the limits of the route beside those of the plugin, and the stricter outcome', async () => {
  const clock = new ManualClock();
  const app = fastify();
  const explanations: Explanation[] = [];
  // In front of the plugin, which has counted nothing by then.
  app.addHook('onRequest', async (request) => void explanations.push(await app.rateLimiter.explain(request)));
  await app.register(rateLimit, { limit: 3, window: '1h', clock });
  app.get('/own', { config: { rateLimit: { name: 'own', limit: 1, window: '2h' } } }, done);
  app.get('/', done);
  const explained = async (url: string) => {
    await app.inject(url);
    const { outcome, policies, summary, passesAt } = explanations.at(-1)!;
    return {
      outcome,
      policies: policies.map(({ policy, decision }) => `${policy} ${decision.remaining}`),
      refusedBy: / is refused by (.*?):/.exec(summary)?.[1],
      passesAt,
    };
  };
  expect(await explained('/own')).toMatchObject({ outcome: 'allowed', policies: ['default 3', 'own 1'] });
  const refused = await explained('/own');
  expect(refused).toMatchObject({ outcome: 'refused', policies: ['default 2', 'own 0'], refusedBy: "'own'" });
  expect(await explained('/')).toMatchObject({ outcome: 'allowed', policies: ['default 2'] });
  await explained('/');
  const byPlugin = await explained('/');
  expect(byPlugin).toMatchObject({ outcome: 'refused', policies: ['default 0'], refusedBy: "'default'" });
  // Both refuse, and the one says so that does it for longer.
  expect(byPlugin.passesAt?.getTime()).toBeLessThan(refused.passesAt!.getTime());
  expect(await explained('/own')).toEqual({ ...refused, policies: ['default 0', 'own 0'] });
});

test('explain says of a route that wants no limit that it has none', async () => {
  const app = fastify();
  await app.register(rateLimit, { limit: 0, window: '1h' });
  app.get('/', { config: { rateLimit: false } }, async (request) => {
    const { outcome, policies, passesAt } = await app.rateLimiter.explain(request);
    return { outcome, policies, passes: passesAt !== undefined };
  });
  expect((await app.inject('/')).json()).toEqual({ outcome: 'unlimited', policies: [], passes: true });
});

test('where the plugin leaves a route alone, explain has the limits of the route only', async () => {
  const app = fastify();
  await app.register(rateLimit, { global: false, limit: 0, window: '1h' });
  app.get('/', { config: { rateLimit: { name: 'own', limit: 5, window: '1h' } } }, async (request) => {
    const { outcome, policies } = await app.rateLimiter.explain(request);
    return { outcome, policies: policies.map(({ policy }) => policy) };
  });
  expect((await app.inject('/')).json()).toEqual({ outcome: 'allowed', policies: ['own'] });
});

test('in a scope with a registration of its own, explain has the limits of the route too', async () => {
  const app = fastify();
  await app.register(rateLimit, { limit: 9, window: '1h' });
  await app.register(async (scope) => {
    await scope.register(rateLimit, { name: 'inner', limit: 8, window: '1h' });
    scope.get('/', { config: { rateLimit: { name: 'own', limit: 5, window: '1h' } } }, async (request) => {
      const { policies } = await scope.rateLimiter.explain(request);
      return policies.map(({ policy, decision }) => `${policy} ${decision.remaining}`);
    });
  });
  expect((await app.inject('/')).json()).toEqual(['inner 7', 'own 4']);
});
