import assert from 'node:assert/strict';
import { RateLimitError, type RateLimitOptions } from '@sluice/core';
import { ManualClock } from '../manual-clock.js';
import { watchedStore } from './gate.js';
import { type Define, fields } from './scene.js';

/** How a user has refusals answered, and where the decision is put. */
export function responseCases<R>(define: Define<R>): void {
  /** One request per minute, of which the rest is refused as `response` says. */
  function one(response: RateLimitOptions<R>['response'], options: RateLimitOptions<R> = {}): RateLimitOptions<R> {
    const clock = new ManualClock();
    return { limit: 1, window: '1m', algorithm: 'fixed-window', clock, response, ...options } as RateLimitOptions<R>;
  }

  define('refuses with the status of statusCode, in the body too', async ({ start }) => {
    const app = await start({ limiters: [one({ statusCode: 420 })] });
    await app.get();
    const refused = await app.get();
    assert.equal(refused.status, 420);
    assert.equal(refused.body.status, 420);
    assert.equal(refused.headers['content-type'], 'application/problem+json');
    assert.equal(refused.headers['retry-after'], '60');
    assert.equal(refused.headers['cache-control'], 'no-store');
  });

  for (const [what, message, type, text] of [
    ['a text', 'Slow down, č.', 'text/plain; charset=utf-8', 'Slow down, č.'],
    ['an empty text', '', 'text/plain; charset=utf-8', ''],
    ['an object', { error: 'slow' }, 'application/json; charset=utf-8', '{"error":"slow"}'],
    ['a list', ['slow'], 'application/json; charset=utf-8', '["slow"]'],
  ] as const) {
    for (const [how, given] of [
      ['as it is', message],
      ['by a function', () => message],
      ['by a function, later', async () => message],
    ] as const) {
      define(`refuses with ${what} that message gives ${how}`, async ({ start }) => {
        const app = await start({ limiters: [one({ message: given })] });
        assert.equal((await app.get()).text, 'done');
        const refused = await app.get({ accept: 'text/html' });
        assert.equal(refused.status, 429);
        assert.equal(refused.headers['content-type'], type);
        assert.equal(refused.text, text);
        assert.equal(refused.headers['retry-after'], '60');
        assert.deepEqual(fields(refused).slice(0, 2), [1, 0]);
      });
    }
  }

  define('gives message the request and the decision', async ({ start, header }) => {
    const message = (request: R, { policy, retryAfter, key }: { policy: string; retryAfter: number; key: string }) =>
      `${header(request, 'x-who')}: ${policy}, ${retryAfter} ms, ${key}`;
    const app = await start({ limiters: [one({ message })] });
    await app.get();
    assert.equal((await app.get({ 'x-who': 'me' })).text, 'me: default, 60000 ms, ip:127.0.0.1');
  });

  for (const answer of [undefined, null, 7, true]) {
    define(`takes ${answer} that message returns to the error handling`, async ({ start }) => {
      for (const message of [() => answer, async () => answer]) {
        const app = await start({ limiters: [one({ message: message as () => never })] });
        assert.deepEqual(await app.statuses(2), [200, 500]);
        assert.deepEqual(
          app.errors.map((error) => (error as { code?: unknown }).code),
          ['INVALID_OPTION'],
        );
      }
    });
  }

  define('takes the error of message to the error handling, once', async ({ start }) => {
    const broken = new Error('broken');
    const messages = [
      () => {
        throw broken;
      },
      () => Promise.reject(broken),
    ];
    for (const message of messages) {
      const app = await start({ limiters: [one({ message })] });
      assert.deepEqual(await app.statuses(2), [200, 500]);
      assert.deepEqual(app.errors, [broken]);
    }
  });

  define('leaves the answer to who is banned as it is', async ({ start }) => {
    for (const message of ['Slow down.', () => 'Slow down.']) {
      const app = await start({ limiters: [one({ statusCode: 418, message }, { penalty: { banAfter: 2 } })] });
      assert.equal((await app.get()).status, 200);
      const refused = await app.get();
      assert.deepEqual([refused.status, refused.text], [418, 'Slow down.']);
      const banned = await app.get();
      assert.equal(banned.status, 403);
      assert.match(banned.body.type, /#abnormal-usage-detected$/);
    }
  });

  define('hands a refusal to the error handling where it is to throw', async ({ start }) => {
    const app = await start({ limiters: [one({ throw: true, statusCode: 503 })] });
    assert.equal((await app.get()).status, 200);
    const refused = await app.get();
    assert.ok(refused.status >= 400);
    const [error] = app.errors as RateLimitError[];
    assert.equal(app.errors.length, 1);
    assert.ok(error instanceof RateLimitError);
    assert.deepEqual([error.code, error.status, error.statusCode, error.expose], ['LIMITED', 503, 503, true]);
    assert.match(error.message, /'default'.*60 s/);
    assert.equal(error.headers['Retry-After'], '60');
    assert.deepEqual([error.decision.allowed, error.decision.retryAfter], [false, 60_000]);
    assert.equal(refused.headers['retry-after'], '60');
    assert.equal(refused.headers['cache-control'], 'no-store');
    assert.deepEqual(fields(refused).slice(0, 2), [1, 0]);
    assert.doesNotMatch(String(refused.headers['content-type']), /problem/);
  });

  define('tells the error handling who is banned, by 403', async ({ start }) => {
    const app = await start({ limiters: [one({ throw: true }, { penalty: { banAfter: 1 } })] });
    await app.statuses(2);
    assert.equal((app.errors as RateLimitError[])[0]!.status, 403);
  });

  define('has onLimited answer even where it is to throw', async ({ start }) => {
    const app = await start({ limiters: [one({ throw: true }, { onLimited: () => ({ status: 418 }) })] });
    assert.deepEqual(await app.statuses(2), [200, 418]);
    assert.deepEqual(app.errors, []);
  });

  for (const name of ['onLimited', 'onBanned'] as const) {
    define(`hands the error that ${name} returns to the error handling, with the fields`, async ({ start }) => {
      const mine = new Error('mine');
      for (const answer of [() => mine, async () => mine]) {
        const penalty = name === 'onBanned' ? { penalty: { banAfter: 1 } } : {};
        const app = await start({ limiters: [one({}, { [name]: answer, ...penalty })] });
        await app.get();
        const refused = await app.get();
        assert.equal(refused.status, 500);
        assert.deepEqual(app.errors, [mine]);
        assert.equal(refused.headers['retry-after'], name === 'onBanned' ? '86400' : '60');
        assert.equal(refused.headers['cache-control'], 'no-store');
      }
    });
  }

  define('puts the decision where property says, and nowhere else', async ({ start }) => {
    const seen: unknown[] = [];
    const app = await start({
      limiters: [one({}), one({ property: 'quota' }, { name: 'other', limit: 5 })],
      async handle(decision) {
        seen.push(decision?.policy, decision?.policies);
        return { status: 200, body: '' };
      },
    });
    assert.deepEqual(fields(await app.get()).slice(0, 2), [1, 0]);
    // That of the first limiter, which knew nothing of the second.
    assert.deepEqual(seen, ['default', undefined]);
  });

  define('counts limiters of different properties together', async ({ start }) => {
    const { store, refunds } = watchedStore();
    const app = await start({
      limiters: [
        one({ property: 'wide' }, { name: 'wide', limit: 5, store }),
        one({ property: 'tight' }, { name: 'tight' }),
      ],
    });
    assert.deepEqual(fields(await app.get()).slice(0, 2), [1, 0]);
    assert.equal(refunds.length, 0);
    const refused = await app.get();
    assert.deepEqual(refused.body['violated-policies'], ['tight']);
    assert.deepEqual(fields(refused).slice(0, 2), [1, 0]);
    // What the first has taken for it is given back.
    assert.deepEqual(
      refunds.map(({ policy }) => policy.name),
      ['wide'],
    );
  });
}
