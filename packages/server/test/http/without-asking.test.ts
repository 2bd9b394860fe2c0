import { algorithmNames } from '@sluice/core/toolkit';
import { ManualClock } from '@sluice/testing';
import { expect, it } from 'vitest';
import { until } from '../../../../test/support/redis/until.ts';
import type { Settings } from '../../src/settings/settings.ts';
import type { Client, Reply } from '../support/client.ts';
import { totalsBy } from '../support/series.ts';
import { onRedis, type Start, type TestBackend } from '../support/service.ts';

const window = '365d';
const two = { algorithm: 'token-bucket', limit: 2, window } as const;
const many = { algorithm: 'token-bucket', limit: 1_000_000, window } as const;
const alice = { user_id: 'alice' };

/** What is said of a check: whether it may pass, and who says so. */
function saidBy({ json }: Reply): string {
  return `${json.allowed ? 'granted' : 'refused'} by ${json.source}`;
}

/** Who decides now on one more request. */
async function ask(client: Client, check: object = alice): Promise<string> {
  return saidBy(await client.check(check));
}

/** Has the instance remember that the check is refused, of which what is granted is used up. */
async function deny(client: Client, check: object = alice): Promise<void> {
  expect(await ask(client, check)).toBe('refused by store');
  expect(await ask(client, check)).toBe('refused by deny-cache');
}

/** The first answer to a check that is as `isNew` says. */
function firstAnswer(client: Client, check: object, isNew: (json: Reply['json']) => boolean): Promise<string> {
  return until('what was changed is in force', async () => {
    const reply = await client.check(check);
    return isNew(reply.json) && saidBy(reply);
  });
}

/** So many checks in one request. */
async function batch(client: Client, count: number, check: object = alice): Promise<readonly Reply['json'][]> {
  const { status, json } = await client.post('/ratelimit/check/batch', { checks: Array(count).fill(check) });
  expect(status).toBe(200);
  return json.results;
}

/** How many of the answers there are of each source. */
function sourcesOf(answers: readonly Reply['json'][]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { source } of answers) counts[source] = (counts[source] ?? 0) + 1;
  return counts;
}

/** The sum of a metric, of the samples that have this label. */
async function metric(client: Client, name: string, label = ''): Promise<number> {
  const { text } = await client.get('/metrics');
  const samples = text.split('\n').filter((line) => /^\w+/.exec(line)?.[0] === name && line.includes(label));
  return samples.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
}

/** Once they have subscribed, they forget what was refused before. */
async function untilBothHear(backend: TestBackend): Promise<void> {
  await until('both have subscribed', async () => {
    const [, listeners] = (await backend.redis()!.cli('PUBSUB', 'NUMSUB', 'ratelimit:freed')).split('\n');
    return Number(listeners) === 2;
  });
}

/**
 * Two instances with a deny cache whose clocks stand still, so that no refusal is forgotten because it is old: when both
 * hear what the other one gives back.
 */
async function twoThatDeny(start: Start, backend: TestBackend, defaults: Settings['defaults'] = two) {
  const settings = { storage: { ...backend.storage(), denyCache: true } as Settings['storage'], defaults };
  const a = await start(settings, { clock: new ManualClock(Date.now()) });
  const b = await start(settings, { clock: new ManualClock(Date.now()) });
  await untilBothHear(backend);
  return [a, b] as const;
}

onRedis('A service with a deny cache', (start, backend) => {
  it('refuses what Redis has refused by itself, as Redis has said it', async () => {
    const [a] = await twoThatDeny(start, backend);
    await a.check({ ...alice, cost: 2 });
    const refused = await a.check(alice);
    const repeated = await a.check(alice);
    expect([refused, repeated].map(({ status }) => status)).toEqual([429, 429]);
    expect(repeated.json).toEqual({ ...refused.json, source: 'deny-cache' });
    expect(repeated.headers['retry-after']).toBe(refused.headers['retry-after']);
    expect(sourcesOf(await batch(a, 100))).toEqual({ 'deny-cache': 100 });
    // Of others, nothing was refused.
    expect(await ask(a, { user_id: 'bob' })).toBe('granted by store');
    expect(await ask(a, { ...alice, cost: 0 })).toBe('granted by store');
  });

  it('grants again at once what was reset over HTTP, be it on another instance', async () => {
    const [a, b] = await twoThatDeny(start, backend);
    await a.check({ ...alice, cost: 2 });
    await deny(a);
    await deny(b);
    expect((await a.delete('/ratelimit/status/alice')).status).toBe(204);
    expect(await ask(a)).toBe('granted by store');
    expect(await firstAnswer(b, alice, ({ source }) => source !== 'deny-cache')).toBe('granted by store');
    await deny(b);
  });

  it('never answers by a rule that was changed, be it back and forth', async () => {
    const [a, b] = await twoThatDeny(start, backend);
    const login = { id: 'login', endpoint: '/login', limit: 2, window };
    const check = { ...alice, endpoint: '/login' };
    await a.post('/ratelimit/rules', login);
    expect(await firstAnswer(b, { ...check, cost: 2 }, ({ rule }) => rule === 'login')).toBe('granted by store');
    await deny(a, check);
    await deny(b, check);
    const put = (limit: number) => a.put('/ratelimit/rules/login', { ...login, limit }, { 'if-match': '*' });
    expect((await put(5)).status).toBe(200);
    expect(await ask(a, check)).toBe('granted by store');
    expect(await firstAnswer(b, check, ({ limit }) => limit === 5)).toBe('granted by store');
    expect(await ask(b, check)).toBe('granted by store');
    await deny(b, check);
    await put(2);
    expect(await ask(a, check)).toBe('refused by store');
    expect(await firstAnswer(b, check, ({ limit }) => limit === 2)).toBe('refused by store');
    expect((await a.delete('/ratelimit/rules/login')).status).toBe(204);
    expect(await ask(a, check)).toBe('granted by store');
    expect(await firstAnswer(b, check, ({ rule }) => rule === null)).toBe('granted by store');
  });

  it('never answers by limits that a user does not have any more', async () => {
    const [a, b] = await twoThatDeny(start, backend);
    await a.check({ ...alice, cost: 2 });
    await deny(a);
    await deny(b);
    const set = (tokens: number) => a.post(`/users?user_id=alice&max_tokens=${tokens}&refill_rate=0.000001`);
    expect((await set(4)).status).toBe(200);
    expect(await ask(a)).toBe('granted by store');
    expect(await firstAnswer(b, alice, ({ limit }) => limit === 4)).toBe('granted by store');
    await deny(a);
    await deny(b);
    await set(5);
    expect(await ask(a)).toBe('granted by store');
    expect(await firstAnswer(b, alice, ({ limit }) => limit === 5)).toBe('refused by store');
    // Back to the limits of everybody, by which he was refused before.
    expect((await a.delete('/users?user_id=alice')).status).toBe(204);
    expect(await ask(a)).toBe('granted by store');
    expect(await firstAnswer(b, alice, ({ policy }) => policy === 'default')).toBe('granted by store');
  });

  it('goes by the lists before it goes by what it remembers', async () => {
    const [a] = await twoThatDeny(start, backend);
    await a.check({ ...alice, cost: 2 });
    await deny(a);
    await a.put('/ratelimit/lists/allow/user:alice');
    expect((await a.check(alice)).json).toMatchObject({ allowed: true, reason: 'allow-list' });
    await a.delete('/ratelimit/lists/allow/user:alice');
    expect(await ask(a)).toBe('refused by deny-cache');
    await a.put('/ratelimit/lists/block/user:alice');
    expect((await a.check(alice)).json).toMatchObject({ allowed: false, reason: 'block-list' });
  });

  it('asks Redis for what is simulated, looked up and reported, whatever it remembers', async () => {
    const [a] = await twoThatDeny(start, backend);
    await a.check({ ...alice, cost: 2 });
    await deny(a);
    // Nobody tells of what is deleted by hand.
    await backend.redis()!.cli('DEL', 'ratelimit:token-bucket:{alice}');
    expect(await ask(a)).toBe('refused by deny-cache');
    const { json: simulated } = await a.post('/ratelimit/simulate', alice);
    expect(simulated).toMatchObject({ allowed: true, remaining: 2, source: 'store' });
    const { json: status } = await a.get('/ratelimit/status/alice');
    expect(status.policies).toMatchObject([{ remaining: 2, source: 'store' }]);
    const { json: reported } = await a.post('/ratelimit/report', { ...alice, cost: 1 });
    expect(reported).toMatchObject({ allowed: true, remaining: 1, source: 'store' });
  });

  it('counts its refusals as those of the deny cache, and as no time of the store', async () => {
    const [a] = await twoThatDeny(start, backend);
    await a.check({ ...alice, cost: 2 });
    await deny(a);
    const asked = await metric(a, 'sluice_store_duration_seconds_count');
    expect(asked).toBe(2);
    await batch(a, 10);
    expect(await metric(a, 'sluice_store_duration_seconds_count')).toBe(asked);
    expect(await metric(a, 'sluice_decision_duration_seconds_count')).toBe(13);
    expect(await metric(a, 'sluice_decisions_total', 'decision="refused",source="deny-cache"')).toBe(11);
    expect(await metric(a, 'sluice_store_errors_total')).toBe(0);
    expect((await totalsBy(a, 'rule'))['(none)']).toMatchObject({
      refused: 12,
      sources: { store: 2, 'deny-cache': 11 },
    });
  });

  it('counts what a shadow would have refused by itself', async () => {
    const [a] = await twoThatDeny(start, backend, { ...two, limit: 1_000 });
    const shade = { id: 'shade', endpoint: '/shade', limit: 1, window, mode: 'shadow' };
    await a.post('/ratelimit/rules', shade);
    const check = { ...alice, endpoint: '/shade' };
    const count = await until('the shadow has been refused by the deny cache', async () => {
      expect(await ask(a, check)).toBe('granted by store');
      return metric(a, 'sluice_decisions_total', 'decision="shadow-refused",source="deny-cache"').then(
        (n) => n > 0 && n,
      );
    });
    expect((await totalsBy(a, 'rule')).shade).toMatchObject({ sources: { 'deny-cache': count } });
  });
});

onRedis('A service with leases', (start, backend) => {
  const leasing = (defaults: Settings['defaults'] = many) =>
    start({ storage: { ...backend.storage(), leases: true } as Settings['storage'], defaults });

  it('hands out units of a hot key by itself, and tells of them as of any others', async () => {
    const a = await leasing();
    const answers = await batch(a, 500);
    expect(answers.every(({ allowed, limit, policy }) => allowed && limit === 1_000_000 && policy === 'default')).toBe(
      true,
    );
    const { store, lease, ...others } = sourcesOf(answers);
    expect(others).toEqual({});
    expect(lease).toBeGreaterThan(0);
    expect(await metric(a, 'sluice_decisions_total', 'source="lease"')).toBe(lease);
    expect(await metric(a, 'sluice_decisions_total', 'source="store"')).toBe(store);
    expect(await metric(a, 'sluice_store_errors_total')).toBe(0);
    const { sources } = (await totalsBy(a, 'rule'))['(none)']!;
    expect(sources).toMatchObject({ store, lease });
  });

  it('never grants more than the limit, together with another one', async () => {
    const limit = 3_200;
    const defaults = { algorithm: 'fixed-window', limit, window } as const;
    const both = [await leasing(defaults), await leasing(defaults)];
    const answers = (
      await Promise.all(both.flatMap((client) => Array.from({ length: 5 }, () => batch(client, 500))))
    ).flat();
    const granted = answers.filter(({ allowed }) => allowed);
    expect(granted.length).toBeLessThanOrEqual(limit);
    expect(sourcesOf(granted).lease).toBeGreaterThan(0);
  });

  it('leases nothing for what is simulated, and takes nothing for it from a lease', async () => {
    const [a, b] = [await leasing(), await leasing()];
    const simulate = async (client: Client) => (await client.post('/ratelimit/simulate', alice)).json;
    for (let i = 0; i < 50; i++) await simulate(a);
    expect(await simulate(b)).toMatchObject({ remaining: 1_000_000, source: 'store' });
    await until('two answers of one lease are the same', async () => {
      await batch(a, 500);
      const first = await simulate(a);
      for (let i = 0; i < 10; i++) await simulate(a);
      const last = await simulate(a);
      if (first.source !== 'lease' || last.source !== 'lease') return false;
      expect(last.remaining).toBe(first.remaining);
      return true;
    });
  });

  it('hands out nothing of a lease from before a reset, nor by limits that were changed', async () => {
    const a = await leasing();
    await batch(a, 500);
    expect((await a.delete('/ratelimit/status/alice')).status).toBe(204);
    expect((await a.check(alice)).json).toMatchObject({ allowed: true, source: 'store' });
    await batch(a, 500);
    await a.post('/users?user_id=alice&max_tokens=2000000&refill_rate=1');
    expect((await a.check(alice)).json).toMatchObject({ allowed: true, limit: 2_000_000, source: 'store' });
    await batch(a, 500, { ...alice, endpoint: '/search' });
    await a.post('/ratelimit/rules', { id: 'search', endpoint: '/search', limit: 0, window });
    expect((await a.check({ ...alice, endpoint: '/search' })).json).toMatchObject({ allowed: false, source: 'store' });
  });
});

onRedis('Two services with a deny cache and leases', (start, backend) => {
  it.each(algorithmNames)('grant exactly the limit of a %s', async (algorithm) => {
    const storage = { ...backend.storage(), denyCache: true, leases: true } as Settings['storage'];
    const settings = { storage, defaults: { algorithm, limit: 70, window } as const };
    const both = [await start(settings), await start(settings)];
    await untilBothHear(backend);
    const batches = () => Promise.all(both.map((client) => batch(client, 50)));
    const answers = [await batches(), await batches(), await batches()].flat(2);
    const left = answers.flatMap(({ allowed, remaining }) => (allowed ? [remaining] : []));
    // Each of them was told another number of what is left.
    expect(left.sort((one, other) => one - other)).toEqual(Array.from({ length: 70 }, (_, i) => i));
    expect(sourcesOf(answers)['deny-cache']).toBeGreaterThan(0);
  });
});
