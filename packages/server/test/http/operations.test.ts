import { expect, it } from 'vitest';
import { onBothBackends, onEmbedded } from '../support/service.ts';

const defaults = { algorithm: 'fixed-window', limit: 5, window: '365d' } as const;

interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** The samples of an exposition in the text format of Prometheus; throws for a line that is none. */
function samplesOf(text: string): readonly Sample[] {
  const types = new Map<string, string>();
  const samples: Sample[] = [];
  for (const line of text.trimEnd().split('\n')) {
    const comment = /^# (HELP|TYPE) ([a-z_:][a-z0-9_:]*) (.+)$/i.exec(line);
    if (comment !== null) {
      if (comment[1] === 'TYPE') types.set(comment[2]!, comment[3]!);
      continue;
    }
    if (line === '') continue;
    const sample = /^([a-z_:][a-z0-9_:]*)(?:\{(.*)\})? (NaN|[+-]?Inf|[-+\d.e]+)$/i.exec(line);
    if (sample === null) throw new Error(`This is no sample: ${line}`);
    const [, name = '', inner = '', value] = sample;
    const pairs = [...inner.matchAll(/([a-z_]\w*)="((?:[^"\\]|\\.)*)",?/gi)];
    if (pairs.map(([pair]) => pair).join('') !== inner) throw new Error(`These are no labels: ${inner}`);
    const family = name.replace(/_(bucket|sum|count)$/, '');
    if (!types.has(name) && !types.has(family)) throw new Error(`${name} has no type`);
    samples.push({
      name,
      labels: Object.fromEntries(pairs.map(([, key, text]) => [key!, text!])),
      value: Number(value),
    });
  }
  return samples;
}

onBothBackends('GET /metrics', (start, backend) => {
  it('has counted every decision by rule, decision and source, and nobody’s name', async () => {
    const service = await start({ defaults });
    await service.post('/ratelimit/rules', { id: 'login', endpoint: '/login', limit: 2, window: '365d' });
    for (let i = 0; i < 5; i++) {
      await service.check({ user_id: 'alice', api_key: 'key-of-alice', ip: '192.0.2.77', endpoint: '/login' });
      await service.check({ user_id: 'alice', endpoint: '/secret-path', tier: 'tier-of-alice' });
    }
    const reply = await service.get('/metrics');
    expect(reply.headers['content-type']).toMatch(/^text\/plain; version=0\.0\.4/);
    const samples = samplesOf(reply.text);
    const decided = samples.filter(({ name }) => name === 'sluice_decisions_total');
    expect(decided).toEqual([
      { name: 'sluice_decisions_total', labels: { rule: 'login', decision: 'allowed', source: 'store' }, value: 2 },
      { name: 'sluice_decisions_total', labels: { rule: 'default', decision: 'allowed', source: 'store' }, value: 5 },
      { name: 'sluice_decisions_total', labels: { rule: 'login', decision: 'refused', source: 'store' }, value: 3 },
    ]);
    const value = (name: string) => samples.find((sample) => sample.name === name)?.value;
    expect(value('sluice_decision_duration_seconds_count')).toBe(10);
    // One call for each: what the service has looked at while it started is not counted.
    expect(value('sluice_store_duration_seconds_count')).toBe(10);
    expect(value('sluice_store_errors_total')).toBe(0);
    expect(value('sluice_configuration_version')).toBe(1);
    expect(value('sluice_configuration_reloads_total')).toBe(2);
    expect(value('sluice_configuration_failures_total')).toBe(0);
    expect(value('sluice_configuration_stale')).toBe(0);
    expect(value('sluice_users')).toBe(1);
    if (backend.name === 'embedded') {
      // The API key, the ceilings of the address and the user that it came with, and alice by herself.
      expect(value('sluice_keys')).toBe(4);
      expect(value('sluice_evictions_total')).toBe(0);
    } else {
      const breakers = samples.filter(({ name }) => name === 'sluice_breaker_state');
      expect(breakers.map((sample) => sample.value)).toEqual([0]);
    }
    const labels = new Set(samples.flatMap((sample) => Object.keys(sample.labels)));
    const known = ['rule', 'decision', 'source', 'le', 'server', 'quantile', 'kind', 'space', 'type', 'version'];
    expect([...labels].filter((label) => !known.includes(label) && !/^(major|minor|patch)$/.test(label))).toEqual([]);
    for (const secret of ['alice', '192.0.2.77', 'secret-path']) expect(reply.text).not.toContain(secret);
  });

  it.each([
    ['fixed window', { algorithm: 'fixed-window', limit: 10, window: '365d' }],
    ['bucket with a burst', { algorithm: 'token-bucket', limit: 1, window: '365d', burst: 10 }],
  ] as const)('tells how many were granted when four fifths of a %s were used', async (_name, limits) => {
    const service = await start({ defaults: limits });
    const near = async () => {
      const samples = samplesOf((await service.get('/metrics')).text);
      return samples.find(({ name }) => name === 'sluice_near_limit_total')?.value ?? 0;
    };
    await service.check({ user_id: 'alice', cost: 7 });
    expect(await near()).toBe(0);
    await service.check({ user_id: 'alice' });
    expect(await near()).toBe(1);
    await service.check({ user_id: 'alice', cost: 2 });
    expect(await near()).toBe(2);
    // What is refused is counted as that.
    await service.check({ user_id: 'alice' });
    expect(await near()).toBe(2);
  });

  it('tells of 80 % of what a user has for himself, too', async () => {
    const service = await start({ defaults });
    await service.post('/users?user_id=alice&max_tokens=100&refill_rate=0.001');
    await service.check({ user_id: 'alice', cost: 79 });
    expect((await service.get('/metrics')).text).not.toMatch(/^sluice_near_limit_total\{/m);
    await service.check({ user_id: 'alice' });
    expect((await service.get('/metrics')).text).toContain('sluice_near_limit_total{rule="default"} 1\n');
  });
});

onBothBackends('The probes', (start) => {
  it('say that the process is alive, and that requests may be sent', async () => {
    const service = await start();
    const live = await service.get('/livez');
    expect({ status: live.status, text: live.text }).toEqual({ status: 200, text: 'ok\n' });
    const ready = await service.get('/readyz');
    expect({ status: ready.status, text: ready.text }).toEqual({ status: 200, text: 'ready\n' });
    for (const { headers } of [live, ready]) expect(headers['content-type']).toMatch(/^text\/plain/);
  });

  it('need no token', async () => {
    const service = await start({ adminTokens: ['a'.repeat(32)], checkTokens: ['c'.repeat(32)] });
    expect((await service.get('/livez')).status).toBe(200);
    expect((await service.get('/readyz')).status).toBe(200);
    expect((await service.get('/metrics')).status).toBe(401);
  });
});

onEmbedded('GET /docs', (start) => {
  it('is a page whose parts are all there, from here alone, and over plain HTTP', async () => {
    const service = await start();
    const page = await service.get('/docs');
    expect(page.status).toBe(200);
    expect(page.headers['content-type']).toMatch(/^text\/html/);
    const policy = String(page.headers['content-security-policy']);
    expect(policy).toMatch(/default-src 'self'/);
    expect(policy).toMatch(/script-src 'self' *;/);
    expect(policy).toMatch(/object-src 'none'/);
    // The service has no TLS: with this, a browser would ask for https:// and show an empty page.
    expect(policy).not.toContain('upgrade-insecure-requests');
    expect(policy).not.toMatch(/https?:\/\/|\.io/);
    const parts = [...page.text.matchAll(/(?:href|src)="([^"]+)"/g)].map(([, path]) => path!);
    expect(parts.length).toBeGreaterThanOrEqual(5);
    for (const path of parts) {
      expect(path).toMatch(/^\/docs\//);
      const { status, text, headers } = await service.get(path);
      expect({ path, status }).toEqual({ path, status: 200 });
      expect(text.length).toBeGreaterThan(50);
      expect(headers['x-content-type-options']).toBe('nosniff');
    }
    // Scripts that stand in the page itself would be refused by the policy.
    expect(page.text).not.toMatch(/<script(?![^>]*\bsrc=)[^>]*>/);
    expect((await service.get('/docs/json')).json).toEqual((await service.get('/openapi.json')).json);
  });
});
