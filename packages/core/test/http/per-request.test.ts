import { createHook } from 'node:async_hooks';
import ipaddr from 'ipaddr.js';
import { describe, expect, test, vi } from 'vitest';
import { LineTexts } from '../../src/http/headers/line-texts.ts';
import type { QuotaLine } from '../../src/http/headers.ts';
import { Pipeline, type RateLimitOptions } from '../../src/index.ts';
import { type FakeRequest, fakeResponse, reader } from './exchange.ts';

const ip = '192.0.2.1';
const request: FakeRequest = { ip, headers: {} };

/** How often each of the reader's questions is asked, and by which names. */
function watched() {
  const asked: string[] = [];
  const watch = <T>(name: string, answer: T): T => {
    asked.push(name);
    return answer;
  };
  const watching: typeof reader = {
    ...reader,
    method: (one) => watch('method', reader.method(one)),
    target: (one) => watch('target', reader.target(one)),
    route: (one) => watch('route', reader.route(one)),
    user: (one) => watch('user', reader.user(one)),
    header: (one, name) => watch(`header ${name}`, reader.header(one, name)),
    ip: (one) => watch('ip', reader.ip(one)),
  };
  return { asked, reader: watching };
}

/** The promises that are made while it runs. */
function promisesOf(run: () => void): number {
  let promises = 0;
  const hook = createHook({
    init(_id, type) {
      if (type === 'PROMISE') promises++;
    },
  });
  hook.enable();
  try {
    run();
  } finally {
    hook.disable();
  }
  return promises;
}

test('the counter of promises counts', () => {
  expect(promisesOf(() => void Promise.resolve().then(() => {}))).toBe(2);
});

describe.each<[string, RateLimitOptions<FakeRequest>]>([
  ['one limit', { limit: 2, window: '1h' }],
  ['several limits', { limits: ['2/1m', '5/1h'], headers: ['legacy', 'draft-11'] }],
  ['a phase before authentication', { limit: 2, window: '1h', beforeAuth: '2/1h' }],
  [
    'rules, tiers, lists, penalties, overrides and places at work',
    {
      rules: [{ match: 'GET /', limit: 2, window: '1h', stack: true }],
      tiers: { free: '2/1h', pro: '5/1h' },
      tier: () => 'free',
      defaultTier: 'free',
      lists: { allow: ['user:7'], block: ['198.51.100.0/24', 'user:42'] },
      overrides: { 'user:8': '9/1h' },
      penalty: { blockFor: '1m', banAfter: 3 },
      concurrency: 100,
      skipFailed: true,
      skip: () => false,
      onDecision: () => {},
      onAllowed: () => {},
    },
  ],
])('with %s in memory', (_, options) => {
  test('a request is decided on without a promise, whether it passes or not', () => {
    const pipeline = new Pipeline(reader, options);
    const actions: string[] = [];
    const promises = promisesOf(() => {
      for (let i = 0; i < 4; i++) {
        const response = fakeResponse();
        const verdict = pipeline.handle(request, response, response);
        actions.push('action' in verdict ? verdict.action : 'promised');
      }
    });
    expect(actions).toEqual(['pass', 'pass', 'refuse', 'refuse']);
    expect(promises).toBe(0);
  });
});

describe('of a request is asked', () => {
  test('who sends it and what its headers are to say, and nothing about its path where there are no rules', () => {
    const { asked, reader } = watched();
    const pipeline = new Pipeline(reader, { limit: 9, window: '1h' });
    pipeline.handle(request, fakeResponse(), fakeResponse());
    expect(asked.sort()).toEqual(['header forwarded', 'header origin', 'header x-api-key', 'ip', 'user']);
  });

  test('its user only if a list has an entry for somebody who is no address', () => {
    const { asked, reader } = watched();
    const pass = (block: string) => {
      asked.length = 0;
      const pipeline = new Pipeline(reader, { key: () => 'all', lists: { block: [block] } });
      pipeline.handle(request, fakeResponse(), fakeResponse());
      return asked.includes('user');
    };
    expect(pass('198.51.100.0/24')).toBe(false);
    expect(pass('user:42')).toBe(true);
  });
});

test('nobody waits for the end of a response where nothing comes of it', () => {
  const pass = (options: RateLimitOptions<FakeRequest>) => {
    const once = vi.fn();
    const response = { ...fakeResponse(), once };
    new Pipeline(reader, options).handle(request, response, response);
    return once.mock.calls.map(([event]) => event);
  };
  expect(pass({ limit: 2, window: '1h' })).toEqual([]);
  expect(pass({ limit: 2, window: '1h', skipFailed: true })).toEqual(['finish']);
  expect(pass({ limit: 2, window: '1h', concurrency: 5 })).toEqual(['close']);
});

test('an address is read once, and known again by its text', () => {
  const parsed = vi.spyOn(ipaddr.IPv6, 'parse');
  try {
    const pipeline = new Pipeline(reader, { limit: 9, window: '1h' });
    const pass = (ip: string) => {
      parsed.mockClear();
      pipeline.handle({ ip }, fakeResponse(), fakeResponse());
      return parsed.mock.calls.length;
    };
    expect(pass('2001:db8::1')).toBeGreaterThan(0);
    expect(pass('2001:db8::1')).toBe(0);
    expect(pass('2001:db8::2')).toBeGreaterThan(0);
  } finally {
    parsed.mockRestore();
  }
});

describe('of the header fields', () => {
  test('only what is left is written anew for each request of a second', () => {
    const clock = { now: () => 1_800_000_000_000_000, after: () => () => {} };
    const pipeline = new Pipeline(reader, { algorithm: 'fixed-window', limit: 9, window: '1h', clock });
    const pass = () => pipeline.handle(request, fakeResponse(), fakeResponse());
    pass();
    const written = vi.spyOn(Number.prototype, 'toString');
    try {
      expect(pass()).toMatchObject({ headers: { 'X-RateLimit-Limit': '9', 'X-RateLimit-Remaining': '7' } });
      expect(written).toHaveBeenCalledTimes(1);
    } finally {
      written.mockRestore();
    }
  });

  test('what is said of a policy is put together once, and again when its numbers change', () => {
    const compute = vi.fn(({ name, limit }: QuotaLine) => `"${name}";q=${limit}`);
    const texts = new LineTexts(compute);
    const line = (limit: number) => ({ name: 'a', limit, windowMs: 1_000, unit: 'requests' }) as QuotaLine;
    expect([9, 9, 9].map((limit) => texts.of(line(limit)))).toEqual(['"a";q=9', '"a";q=9', '"a";q=9']);
    expect(compute).toHaveBeenCalledTimes(1);
    expect(texts.of(line(8))).toBe('"a";q=8');
    expect(compute).toHaveBeenCalledTimes(2);
  });
});
