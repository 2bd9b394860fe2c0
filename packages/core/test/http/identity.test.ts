import { expect, test } from 'vitest';
import { type DecisionEvent, Pipeline } from '../../src/index.ts';
import { type FakeRequest, passing, reader } from './exchange.ts';

/** The key under which a request is counted. */
function keyOf(request: FakeRequest, options: object = {}): string {
  const events: DecisionEvent<FakeRequest>[] = [];
  passing({ ...options, onDecision: (event) => void events.push(event) })(request);
  return events[0]!.key;
}

test('an IPv6 client that changes its address inside its /64 stays one client', () => {
  const pass = passing('3/1h');
  const actions = [1, 2, 3, 4, 5].map((n) => pass({ ip: `2001:db8:1:2:${n}::${n}` }).action);
  expect(actions).toEqual(['pass', 'pass', 'pass', 'refuse', 'refuse']);
});

test('an IPv6 client that changes its /64 inside its /48 meets the ceiling', () => {
  const pass = passing({ limit: 3, window: '1h', identity: { ceiling: 4 } });
  let granted = 0;
  for (let n = 0; n < 100; n++) if (pass({ ip: `2001:db8:1:${n}::1` }).action === 'pass') granted++;
  expect(granted).toBe(12);
  expect(pass({ ip: '2001:db8:2::1' }).action).toBe('pass');
});

test('without a ceiling each /64 is a client of its own', () => {
  const pass = passing({ limit: 1, window: '1h', identity: { ceiling: false } });
  for (let n = 0; n < 50; n++) expect(pass({ ip: `2001:db8:1:${n}::1` }).action).toBe('pass');
});

test('API keys of one address meet its ceiling, and the address itself keeps its own budget', () => {
  const pass = passing({ limit: 2, window: '1h', identity: { ceiling: 3 } });
  const withKey = (n: number) => pass({ ip: '192.0.2.1', headers: { 'x-api-key': `k${n}` } }).action;
  expect([0, 1, 2, 3, 4, 5, 6, 7].map(withKey).filter((action) => action === 'pass')).toHaveLength(6);
  expect(pass({ ip: '192.0.2.1' }).action).toBe('pass');
  expect(pass({ ip: '192.0.2.2', headers: { 'x-api-key': 'k9' } }).action).toBe('pass');
});

test('a refusal by a ceiling says which, and takes nothing from the key', () => {
  const pass = passing({ name: 'api', limit: 2, window: '1h', identity: { ceiling: 1 } });
  const withKey = (key: string) => pass({ ip: '192.0.2.1', headers: { 'x-api-key': key } });
  withKey('a');
  withKey('b');
  expect(withKey('c')).toMatchObject({
    action: 'refuse',
    decision: { policy: 'api-ceiling', limit: 2 },
    body: expect.stringContaining('"violated-policies":["api-ceiling"]'),
  });
});

test('a leaky bucket has a ceiling that delays nobody', () => {
  const pass = passing({ algorithm: 'leaky-bucket', limit: 1, window: '1s', burst: 1, shape: false });
  for (let n = 0; n < 10; n++) {
    const verdict = pass({ ip: '192.0.2.1', headers: { 'x-api-key': `k${n}` } });
    expect(verdict).toMatchObject({ action: 'pass', decision: { delay: 0 } });
  }
  expect(pass({ ip: '192.0.2.1', headers: { 'x-api-key': 'k10' } }).action).toBe('refuse');
});

test.each([
  [{ 'x-api-key': 'a, b' }],
  [{ 'x-api-key': ['a', 'b'] }],
  [{ 'x-api-key': '' }],
  [{ 'x-api-key': undefined }],
])('the headers %j carry no API key', (headers) => {
  expect(keyOf({ ip: '192.0.2.1', headers })).toBe('ip:192.0.2.1');
});

test('a user is named by a text or a number that is one, and otherwise not at all', () => {
  expect(keyOf({ ip: '192.0.2.1', user: { id: 'ann@example.org' } })).toBe('user:ann@example.org');
  expect(keyOf({ ip: '192.0.2.1', user: { id: 7n } })).toBe('user:7');
  expect(keyOf({ ip: '192.0.2.1', user: { id: 0 } })).toBe('user:0');
  for (const id of [Number.NaN, Number.POSITIVE_INFINITY, true, null, [], () => 'a']) {
    expect(keyOf({ ip: '192.0.2.1', user: { id } })).toBe('ip:192.0.2.1');
  }
});

test('a key that a function names is kept as it is while it is short and plain', () => {
  expect(keyOf({}, { key: () => 'tenant:7' })).toBe('tenant:7');
  expect(keyOf({}, { key: () => ['tenant', '7'] })).toBe('tenant:7');
  expect(keyOf({}, { key: () => 'a'.repeat(64) })).toBe('a'.repeat(64));
  for (const key of ['a'.repeat(65), '{a}', 'a b', 'ä', '#', 'a\u0000']) {
    expect(keyOf({}, { key: () => key })).toMatch(/^#[\w-]{22}$/);
  }
});

test('a name that looks like the digest of another is a client of its own', () => {
  const digest = keyOf({}, { key: () => '{a}' });
  expect(keyOf({}, { key: () => digest })).not.toBe(digest);
});

test.each([{}, { ip: '' }, { headers: { 'x-api-key': 'k' } }, { user: {} }])(
  'the request %j is from nobody in particular, and an error',
  (request) => {
    expect(() => passing()(request)).toThrow(
      expect.objectContaining({ code: 'NO_IDENTITY', message: expect.stringMatching(/proxy.+'key' option/) }),
    );
  },
);

/** The key of a request with that X-Forwarded-For, where the application trusts everyone. */
function keyBehind(peer: string | undefined, forwarded: string | string[] = '192.0.2.9, 198.51.100.1') {
  let key: string | undefined;
  const proxies = { trust: () => 'anyone' as const, forwarded: () => forwarded, remedy: '' };
  const onDecision = (event: DecisionEvent<FakeRequest>) => {
    key = event.key;
  };
  const pipeline = new Pipeline<FakeRequest>({ ...reader, proxies, peer: () => peer }, { onDecision });
  const response = { statusCode: 200, destroyed: false, writableEnded: false } as never;
  pipeline.handle({ ip: '192.0.2.9' }, response, { getHeader: () => undefined });
  return key;
}

test.each(['127.0.0.1', '::1', '10.1.2.3', '172.16.0.1', '192.168.0.1', '::ffff:10.0.0.1', 'fd00::1', 'fe80::1%eth0'])(
  'where everyone is trusted, the address that a proxy at %s has added counts',
  (peer) => {
    expect(keyBehind(peer)).toBe('ip:198.51.100.1');
    expect(keyBehind(peer, ['192.0.2.9', '192.0.2.8, 198.51.100.1'])).toBe('ip:198.51.100.1');
  },
);

test.each(['8.8.8.8', '::ffff:8.8.8.8', '64:ff9b::8.8.8.8'])(
  'where everyone is trusted, a client at the public address %s names no other',
  (peer) => {
    expect(keyBehind(peer)).toBe('ip:8.8.8.8');
  },
);

test('where everyone is trusted and nothing was forwarded, the peer is the client', () => {
  expect(keyBehind('10.1.2.3', '')).toBe('ip:10.1.2.3');
  expect(() => keyBehind(undefined, '')).toThrow(expect.objectContaining({ code: 'NO_IDENTITY' }));
});
