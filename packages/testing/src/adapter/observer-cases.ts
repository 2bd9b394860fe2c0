import assert from 'node:assert/strict';
import { MemoryStore, type RequestDecision, type RequestEvent, SluiceError } from '@sluice/core';
import { ManualClock } from '../manual-clock.js';
import { type Define, remaining } from './scene.js';

const routes = [{ method: 'GET', path: '/items/:id' }] as const;

/** What a decision says, and who is told of it. */
export function observerCases<R>(define: Define<R>): void {
  define('tells the handler who was limited, by what, what is used and until when', async ({ start }) => {
    const clock = new ManualClock();
    const { seen, handle } = listener();
    const app = await start({
      limiters: [
        {
          tiers: { free: '5/1h', pro: '50/1h' },
          tier: () => 'pro',
          defaultTier: 'free',
          rules: [{ match: '/items/:id', tiers: { free: '4/1m', pro: '20/1m' }, algorithm: 'fixed-window' }],
          algorithm: 'fixed-window',
          cost: 3,
          clock,
        },
      ],
      authenticate: () => ({ id: 42 }),
      routes,
      handle,
    });
    await app.get({}, '/items/7');
    await app.get();
    const [ofRule, ofRest] = seen;
    assert.ok(ofRule?.resetAt instanceof Date);
    const { allowed, key, rule, tier, limit, remaining, used, resetAt, source } = ofRule;
    assert.deepEqual(
      { allowed, key, rule, tier, limit, remaining, used, resetAt, source },
      {
        allowed: true,
        key: 'user:42',
        rule: '/items/:id',
        tier: 'pro',
        limit: 20,
        remaining: 17,
        used: 3,
        resetAt: new Date(clock.now() / 1_000 + 60_000),
        source: 'store',
      },
    );
    assert.deepEqual([ofRest?.rule, ofRest?.tier, ofRest?.limit, ofRest?.used], [undefined, 'pro', 50, 3]);
    const json = JSON.parse(JSON.stringify(ofRule));
    assert.deepEqual(
      [json.policy, json.used, json.resetAt, json.key],
      [ofRule.policy, 3, resetAt.toISOString(), 'user:42'],
    );
  });

  define('tells nobody an API key', async ({ start }) => {
    const secret = 'sk_live_0123456789';
    const lines: string[] = [];
    const told: unknown[] = [];
    const logger = { warn: (line: string) => void lines.push(line), info: (line: string) => void lines.push(line) };
    const { seen, handle } = listener();
    const onDecision = ({ key, decision }: RequestEvent<R>) => void told.push(key, decision);
    const limiter = { limit: 1, window: '1h', logger, onDecision } as const;
    const limiters = [{ ...limiter, name: 'shadow', mode: 'shadow' } as const, limiter];
    const app = await start({ limiters, handle });
    const responses = [await app.get({ 'x-api-key': secret }), await app.get({ 'x-api-key': secret })];
    assert.deepEqual(
      responses.map(({ status }) => status),
      [200, 429],
    );
    assert.match(seen[0]!.key, /^api-key:#[\w-]{22}$/);
    const all = JSON.stringify([lines, told, seen, responses.map(({ headers, text }) => [headers, text])]);
    assert.ok(!all.includes(secret), all);
    assert.equal(lines.length, 2);
  });

  define('logs a line for each refusal, with its key, policy and rule', async ({ start }) => {
    const clock = new ManualClock();
    const lines: string[] = [];
    const warnings: string[] = [];
    const logger = {
      warn: (line: string) => void warnings.push(line),
      info: (line: string) => void lines.push(line),
    };
    const rules = [{ match: 'POST /login', limit: 1, window: '1m', mode: 'shadow' }] as const;
    const app = await start({
      limiters: [{ name: 'api', limit: 3, window: '1h', algorithm: 'fixed-window', rules, clock, logger }],
    });
    await app.login();
    assert.deepEqual(lines, []);
    await app.login();
    assert.equal(lines.length, 1);
    assert.match(lines[0]!, /would have refused ip:127\.0\.0\.1: policy 'api-POST-login' of rule 'POST \/login'/);
    await app.statuses(2);
    assert.equal(lines.length, 2);
    assert.match(lines[1]!, /refused ip:127\.0\.0\.1: policy 'api', for 3600000 ms/);
    assert.deepEqual(warnings, []);
  });

  define('does with a logger that has no info', async ({ start }) => {
    const warnings: string[] = [];
    const app = await start({
      limiters: [{ limit: 1, window: '1h', logger: { warn: (line) => void warnings.push(line) } }],
    });
    assert.deepEqual(await app.statuses(2), [200, 429]);
    assert.deepEqual(warnings, []);
  });

  define('calls onAllowed for each request that passes, and for no other', async ({ start, header }) => {
    const passed: unknown[] = [];
    const app = await start({
      limiters: [
        {
          limit: 2,
          window: '1h',
          skip: (request) => header(request, 'x-skip') === 'yes',
          onAllowed: (request, { policy, remaining, allowed }) =>
            void passed.push([header(request, 'x-who'), policy, remaining, allowed]),
        },
      ],
    });
    await app.get({ 'x-skip': 'yes' });
    for (const who of ['a', 'b', 'c']) await app.get({ 'x-who': who });
    assert.deepEqual(passed, [
      ['a', 'default', 1, true],
      ['b', 'default', 0, true],
    ]);
  });

  define('takes the error of onAllowed to the error handling, once', async ({ start }) => {
    const broken = new Error('broken');
    const callbacks = [
      () => {
        throw broken;
      },
      () => Promise.reject(broken),
    ];
    for (const onAllowed of callbacks) {
      const app = await start({ limiters: [{ limit: 5, onAllowed }] });
      assert.equal((await app.get()).status, 500);
      assert.deepEqual(app.errors, [broken]);
    }
  });

  define('tells onDecision of every decision: its request, key, cost, rule and tier', async ({ start, header }) => {
    const events: unknown[] = [];
    const app = await start({
      limiters: [
        {
          tiers: { free: '4/1h', pro: false },
          tier: (request) => header(request, 'x-tier'),
          defaultTier: 'free',
          rules: [{ match: 'POST /login', limit: 1, window: '1h', cost: 1, stack: true }],
          cost: 2,
          key: (request) => header(request, 'x-who')!,
          onDecision: ({ request, key, cost, mode, rule, tier, decision }) =>
            void events.push([
              header(request, 'x-who'),
              key,
              cost,
              mode,
              rule,
              tier,
              decision.allowed,
              decision.policy,
            ]),
        },
      ],
    });
    await app.get({ 'x-who': 'a' });
    await app.get({ 'x-who': 'b', 'x-tier': 'pro' });
    await app.login().set({ 'x-who': 'b', 'x-tier': 'pro' });
    await app.get({ 'x-who': 'a', 'x-tier': 'unheard-of' });
    await app.login().set('x-who', 'a');
    assert.deepEqual(events, [
      ['a', 'a', 2, 'enforce', undefined, 'free', true, 'free'],
      ['b', 'b', 1, 'enforce', 'POST /login', 'pro', true, 'POST-login'],
      ['a', 'a', 2, 'enforce', undefined, 'free', true, 'free'],
      ['a', 'a', 1, 'enforce', 'POST /login', 'free', false, 'free'],
    ]);
  });

  define('counts limiters of several names apart in one store', async ({ start }) => {
    const store = new MemoryStore();
    const rules = [{ match: 'POST /login', limit: 2, window: '1h' }] as const;
    const app = await start({ limiters: [{ name: 'a', limit: 5, window: '1h', store, rules }], login: { store } });
    const other = await start({ limiters: [{ name: 'b', limit: 5, window: '1m', store, rules }] });
    for (const expected of [1, 0]) assert.equal(remaining(await app.login()), expected);
    for (const expected of [1, 0]) assert.equal(remaining(await other.login()), expected);
    for (const expected of [4, 3]) assert.equal(remaining(await app.get()), expected);
    for (const expected of [4, 3]) assert.equal(remaining(await other.get()), expected);
  });

  define('counts limiters of one name and the same limits together in one store', async ({ start }) => {
    const store = new MemoryStore();
    const limiter = { name: 'api', limit: 3, window: '1h', store } as const;
    const apps = [await start({ limiters: [limiter] }), await start({ limiters: [limiter] })];
    const left: number[] = [];
    for (const app of [...apps, ...apps.slice(0, 1)]) left.push(remaining(await app.get()));
    assert.deepEqual(left, [2, 1, 0]);
    assert.equal((await apps[1]!.get()).status, 429);
  });

  define('refuses two limiters of one name and other limits in one store', async ({ start }) => {
    const store = new MemoryStore();
    await start({ limiters: [{ limit: 1, window: '1m', store }] });
    await assert.rejects(
      async () => start({ limiters: [{ limit: 1, window: '1h', store }] }),
      (error) => error instanceof SluiceError && error.code === 'DUPLICATE_POLICY' && /'name'/.test(error.message),
    );
  });
}

/** A handler that notes the decisions it is given. */
function listener() {
  const seen: RequestDecision[] = [];
  const handle = async (decision: RequestDecision | null | undefined) => {
    seen.push(decision!);
    return { status: 200, body: '' };
  };
  return { seen, handle };
}
