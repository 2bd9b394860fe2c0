import assert from 'node:assert/strict';
import { ManualClock } from '../manual-clock.js';
import type { Define } from './scene.js';

const browser = 'text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8';

/** The response to a request that may not pass. */
export function refusalCases<R>(define: Define<R>): void {
  define('explains a refusal by problem details', async ({ start }) => {
    const clock = new ManualClock();
    const app = await start({ limiters: [{ name: 'api', limit: 1, window: '30s', algorithm: 'fixed-window', clock }] });
    await app.get();
    clock.advance(1);
    const refused = await app.get();
    assert.equal(refused.status, 429);
    assert.equal(refused.headers['content-type'], 'application/problem+json');
    assert.deepEqual(refused.body, {
      type: 'https://iana.org/assignments/http-problem-types#quota-exceeded',
      title: 'Too many requests: the assigned quota is used up',
      status: 429,
      detail: "Policy 'api' grants 1 unit per 30s. Try again in 30 seconds.",
      'violated-policies': ['api'],
    });
  });

  define('names the policies that refused, and none that did not', async ({ start }) => {
    const clock = new ManualClock();
    const limits = ['1/1s', '1/1m', '9/1h'] as const;
    const app = await start({ limiters: [{ limits, algorithm: 'fixed-window', clock }] });
    await app.get();
    const refused = await app.get();
    assert.deepEqual(refused.body['violated-policies'], ['1s', '1m']);
    assert.match(refused.body.detail, /^Policy '1m' grants 1 unit per 1m\. Try again in 60 seconds\.$/);
  });

  define('names the limiter that refused, of two', async ({ start }) => {
    const app = await start({ limiters: [{ name: 'app' }], login: { name: 'login', limit: 1, window: '1h' } });
    await app.login();
    const refused = await app.login();
    assert.deepEqual(refused.body['violated-policies'], ['login']);
    assert.match(refused.body.detail, /'login'/);
  });

  for (const [accept, type] of [
    [undefined, 'application/problem+json'],
    ['*/*', 'application/problem+json'],
    ['application/json', 'application/problem+json'],
    [browser, 'application/problem+json'],
    [';;;,,q=/', 'application/problem+json'],
    ['image/png', 'application/problem+json'],
    ['text/html', 'text/html; charset=utf-8'],
    ['text/html, text/plain;q=0.5', 'text/html; charset=utf-8'],
    ['text/html, application/json;q=0', 'text/html; charset=utf-8'],
    ['text/plain', 'text/plain; charset=utf-8'],
  ] as const) {
    define(`refuses with ${type} when the client accepts ${accept ?? 'anything it gets'}`, async ({ start }) => {
      const app = await start({ limiters: [{ limit: 0 }] });
      const refused = await app.get(accept === undefined ? {} : { accept });
      assert.equal(refused.status, 429);
      assert.equal(refused.headers['content-type'], type);
      assert.equal(refused.headers['x-ratelimit-limit'], '0');
      assert.match(refused.text, type.startsWith('text/html') ? /^<!doctype html>/ : /Too many requests/);
      if (type === 'application/problem+json') assert.equal(JSON.parse(refused.text).status, 429);
    });
  }

  define('lets onLimited replace status, headers and body', async ({ start, header }) => {
    const app = await start({
      limiters: [
        {
          limit: 1,
          window: '1h',
          onLimited: (request, decision) => ({
            status: 503,
            headers: { 'x-who': header(request, 'x-who')!, 'retry-after': '7' },
            body: { policy: decision.policy },
          }),
        },
      ],
    });
    await app.get();
    const refused = await app.get({ 'x-who': 'me' });
    assert.equal(refused.status, 503);
    assert.equal(refused.headers['x-who'], 'me');
    assert.equal(refused.headers['retry-after'], '7');
    assert.equal(refused.headers['x-ratelimit-remaining'], '0');
    assert.equal(refused.headers['content-type'], 'application/json; charset=utf-8');
    assert.deepEqual(refused.body, { policy: 'default' });
  });

  define('takes a text from onLimited, given later', async ({ start }) => {
    const app = await start({ limiters: [{ limit: 0, onLimited: async () => ({ body: 'Slow down, č.' }) }] });
    const refused = await app.get();
    assert.equal(refused.status, 429);
    assert.equal(refused.headers['content-type'], 'text/plain; charset=utf-8');
    assert.equal(refused.text, 'Slow down, č.');
  });

  define('sends the type that onLimited names', async ({ start }) => {
    const onLimited = () => ({ headers: { 'content-type': 'application/xml' }, body: '<slow/>' });
    const app = await start({ limiters: [{ limit: 0, onLimited }] });
    assert.equal((await app.get()).headers['content-type'], 'application/xml');
  });

  define('leaves the refusal as it is where onLimited returns nothing', async ({ start }) => {
    const app = await start({ limiters: [{ limit: 0, onLimited: () => undefined }] });
    const refused = await app.get();
    assert.equal(refused.status, 429);
    assert.equal(refused.body.status, 429);
  });

  for (const [what, answer] of [
    ['a status that is no error', { status: 200 }],
    ['a header with a line break', { headers: { 'x-note': 'a\r\nset-cookie: b=1' } }],
    ['a header with a name that is none', { headers: { 'x note': 'a' } }],
    ['an unknown field', { code: 429 }],
  ] as const) {
    define(`takes ${what} from onLimited for an error`, async ({ start }) => {
      const app = await start({ limiters: [{ limit: 0, onLimited: () => answer as object }] });
      const response = await app.get();
      assert.equal(response.status, 500);
      assert.equal(response.headers['set-cookie'], undefined);
      assert.equal(app.errors.length, 1);
      assert.match(String((app.errors[0] as { code?: unknown }).code), /^(INVALID|UNKNOWN)_OPTION$/);
    });
  }
}
