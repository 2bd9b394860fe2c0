import assert from 'node:assert/strict';
import { ManualClock } from '../manual-clock.js';
import { type Define, fields } from './scene.js';

/** The fields that tell a client about its limits. */
export function headerCases<R>(define: Define<R>): void {
  define('sends limit, remaining and reset with a 200, a 404, a 500 and a 429', async ({ start }) => {
    const clock = new ManualClock();
    const reset = clock.now() / 1_000_000 + 60;
    let fails = false;
    const app = await start({
      limiters: [{ limit: 3, window: '1m', algorithm: 'fixed-window', clock }],
      async handle() {
        if (fails) throw new Error('broken');
        return { status: 200, body: '' };
      },
    });
    const responses = [await app.get(), await app.get({}, '/nothing')];
    fails = true;
    responses.push(await app.get(), await app.get());
    assert.deepEqual(
      responses.map((response) => [response.status, ...fields(response)]),
      [
        [200, 3, 2, reset],
        [404, 3, 1, reset],
        [500, 3, 0, reset],
        [429, 3, 0, reset],
      ],
    );
  });

  define('names one and the same Reset throughout a fixed window', async ({ start }) => {
    const clock = new ManualClock();
    const app = await start({ limiters: [{ limit: 3, window: '10s', algorithm: 'fixed-window', clock }] });
    const resets = new Set<unknown>();
    for (const ms of [0.4, 499.2, 500.3, 999.9, 0.2, 3_400, 4_599.999]) {
      clock.advance(ms);
      resets.add(fields(await app.get())[2]);
    }
    assert.deepEqual([...resets], [Date.UTC(2026, 0, 1, 0, 0, 10) / 1_000]);
  });

  define('sends Retry-After in whole seconds, rounded up, at least 1', async ({ start }) => {
    const clock = new ManualClock();
    const app = await start({ limiters: [{ limit: 1, window: '10s', algorithm: 'fixed-window', clock }] });
    assert.equal((await app.get()).headers['retry-after'], undefined);
    const waits: unknown[] = [];
    for (const ms of [0, 0.001, 999.999, 1, 8_000, 998.999]) {
      clock.advance(ms);
      waits.push((await app.get()).headers['retry-after']);
    }
    assert.deepEqual(waits, ['10', '10', '9', '9', '1', '1']);
  });

  define('sends no Retry-After to a request that can never pass', async ({ start }) => {
    const app = await start({
      limiters: [
        { limit: 2, window: '1h', cost: () => 3 },
        { limit: 5, window: '1h' },
      ],
    });
    const refused = await app.get();
    assert.equal(refused.status, 429);
    assert.equal(refused.headers['retry-after'], undefined);
    assert.match(refused.body.detail, /can never pass/);
  });

  define('lets nobody keep a refusal in a cache', async ({ start }) => {
    const app = await start({ limiters: ['1/1h'] });
    assert.equal((await app.get()).headers['cache-control'], undefined);
    assert.equal((await app.get()).headers['cache-control'], 'no-store');
  });

  define('sends nothing but Retry-After where headers are switched off', async ({ start }) => {
    const app = await start({ limiters: [{ limit: 1, window: '1h', headers: false }] });
    const responses = [await app.get(), await app.get()];
    for (const response of responses) assert.deepEqual(fields(response), [undefined, undefined, undefined]);
    assert.deepEqual(
      responses.map(({ headers }) => Number(headers['retry-after'] ?? 0) >= 1),
      [false, true],
    );
  });

  for (const limits of [
    ['9/1h', '2/1m'],
    ['2/1m', '9/1h'],
  ] as const) {
    define(`shows the tightest of two limiters, ${limits.join(' before ')}`, async ({ start }) => {
      const clock = new ManualClock();
      const limiters = limits.map((limit) => ({ limits: [limit], algorithm: 'fixed-window' as const, clock }));
      const app = await start({ limiters });
      const reset = clock.now() / 1_000_000 + 60;
      assert.deepEqual(fields(await app.get()), [2, 1, reset]);
      assert.deepEqual(fields(await app.get()), [2, 0, reset]);
      assert.deepEqual(fields(await app.get()), [2, 0, reset]);
    });
  }

  define('lets scripts of other origins read the fields', async ({ start }) => {
    const app = await start({ limiters: ['1/1h', '5/1h'] });
    const names = ['X-RateLimit-Limit', 'X-RateLimit-Remaining', 'X-RateLimit-Reset'];
    const ask = async () =>
      String((await app.get({ origin: 'https://app.example' })).headers['access-control-expose-headers']);
    assert.deepEqual((await ask()).split(', '), names);
    assert.deepEqual((await ask()).split(', '), [...names, 'Retry-After']);
    assert.equal((await app.get()).headers['access-control-expose-headers'], undefined);
  });

  define('adds its fields to those that something else has exposed', async ({ start }) => {
    const app = await start({
      limiters: ['5/1h'],
      earlierHeaders: { 'access-control-expose-headers': 'ETag, x-ratelimit-limit' },
    });
    const { headers } = await app.get({ origin: 'https://app.example' });
    assert.equal(
      headers['access-control-expose-headers'],
      'ETag, x-ratelimit-limit, X-RateLimit-Remaining, X-RateLimit-Reset',
    );
  });

  define('exposes Retry-After even where the other fields are switched off', async ({ start }) => {
    const app = await start({ limiters: [{ limit: 0, headers: false }, { limit: 5 }], login: undefined });
    // A limit of 0 never passes, so that there is no Retry-After either.
    assert.equal((await app.get({ origin: 'null' })).headers['access-control-expose-headers'], undefined);
    const other = await start({ limiters: [{ limit: 1, headers: false }] });
    await other.get();
    assert.equal((await other.get({ origin: 'null' })).headers['access-control-expose-headers'], 'Retry-After');
  });

  define('repeats no header value of the client', async ({ start }) => {
    const app = await start({ limiters: [{ limit: 1, window: '1h', cost: () => 1 }], proxies: 'one' });
    const hostile = [
      'evil%0d%0aSet-Cookie: evil=1',
      'evil\tx-evil: 1',
      'evil\x80\xff\xc4\x8d\xc4\x8a evil',
      '"evil"; <script>evil</script>',
      'text/html;evil=1, evil/evil;q=evil',
    ];
    for (const value of hostile) {
      const names = ['x-api-key', 'accept', 'x-forwarded-for', 'user-agent', 'origin', 'x-real-ip', 'forwarded'];
      const lines = names.map((name) => `${name}: ${value}\r\n`).join('');
      // The second is refused.
      for (let i = 0; i < 2; i++) {
        const answer = await app.raw(`GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n${lines}\r\n`);
        assert.match(answer, i === 0 ? /^HTTP\/1\.1 (200|429) / : /^HTTP\/1\.1 429 /);
        assert.doesNotMatch(answer, /evil/i);
      }
    }
  });
}
