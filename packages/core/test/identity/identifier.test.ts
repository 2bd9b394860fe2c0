import { describe, expect, test } from 'vitest';
import { Identifier } from '../../src/identity/identifier.ts';
import type { IdentityOptions } from '../../src/identity/options.ts';
import { type FakeRequest, reader } from '../http/exchange.ts';

function identifying(options: IdentityOptions<FakeRequest> = {}) {
  const warnings: string[] = [];
  const identifier = new Identifier(reader, options, (message) => warnings.push(message));
  const keyOf = (request: FakeRequest) => (identifier.identify({ ip: '192.0.2.1', ...request }) as { key: string }).key;
  return { identifier, warnings, keyOf };
}

/** An id as databases have them. */
class ObjectId {
  readonly #text: string;
  constructor(text: string) {
    this.#text = text;
  }
  toString() {
    return this.#text;
  }
}

describe('users', () => {
  test.each([
    [new ObjectId('65f0'), 'user:65f0'],
    [Uint8Array.of(0, 10, 255), 'user:000aff'],
    [Buffer.from([0, 10, 255]), 'user:000aff'],
    [new URL('urn:uuid:7'), 'user:urn:uuid:7'],
  ])('an id that writes itself is a user: %#', (id, key) => {
    const { keyOf, warnings } = identifying();
    expect([keyOf({ user: { id } }), keyOf({ user: { sub: id } })]).toEqual([key, key]);
    expect(keyOf({ user: { id: {}, sub: id } })).toBe(key);
    expect(warnings).toEqual([]);
  });

  test('ids of bytes that are no text are told apart', () => {
    const { keyOf } = identifying();
    const [one, other] = [Buffer.from([0xfe]), Buffer.from([0xff])];
    expect(keyOf({ user: { id: one } })).not.toBe(keyOf({ user: { id: other } }));
    // Binary values of some databases can only write themselves as a text.
    expect(keyOf({ user: { id: new ObjectId(`${one}`) } })).toBe('ip:192.0.2.1');
  });

  test.each([
    {},
    { name: 'n' },
    { id: '' },
    { id: {} },
    { id: [] },
    { id: ['a'] },
    { id: new ObjectId('') },
    { id: new Uint8Array() },
    { id: Promise.resolve('a') },
    { id: Object.create(null) },
    { id: Number.NaN },
    { id: true },
    { id: () => 'a' },
    Promise.resolve({ id: 'a' }),
  ])('a user without a readable id counts by address, and the operator is told once: %#', (user) => {
    const { keyOf, warnings } = identifying();
    expect([keyOf({ user }), keyOf({ user })]).toEqual(['ip:192.0.2.1', 'ip:192.0.2.1']);
    expect(warnings).toEqual([expect.stringMatching(/user.+without an 'id' or 'sub'.+identity: \{ user: /)]);
  });

  test.each([undefined, null, '', false, 'text', 0])('where the framework has %j, there is no user', (user) => {
    const { keyOf, warnings } = identifying();
    expect([keyOf({ user }), warnings]).toEqual(['ip:192.0.2.1', []]);
  });

  test.each<unknown>([undefined, null, '', false])('a function that returns %j has found nobody', (nobody) => {
    const { keyOf, warnings } = identifying({ user: () => nobody, apiKey: () => nobody as undefined });
    expect([keyOf({ user: { id: 'ignored' } }), warnings]).toEqual(['ip:192.0.2.1', []]);
  });

  test.each([true, Number.NaN, [], ['a'], {}, Symbol('s')])(
    'a function that returns %o has not told the user',
    (found) => {
      const { keyOf, warnings } = identifying({ user: () => found });
      expect([keyOf({}), keyOf({})]).toEqual(['ip:192.0.2.1', 'ip:192.0.2.1']);
      expect(warnings).toHaveLength(1);
    },
  );
});

describe('API keys', () => {
  test('what is no API key is absent, and the operator is told once, whatever clients bring about', () => {
    const found: unknown[] = [['a'], ['a', 'b'], {}, true, Number.NaN];
    const { keyOf, warnings } = identifying({ apiKey: () => found.pop() as string });
    for (let i = 0; i < 5; i++) expect(keyOf({})).toBe('ip:192.0.2.1');
    expect(warnings).toEqual([expect.stringMatching(/^identity: 'apiKey' has returned NaN.+Return a text/)]);
  });
});

test.each([
  ['apiKey', { apiKey: (async () => 'k') as never }],
  ['user', { user: async (): Promise<string> => 'u' }],
  ['user', { user: (): unknown => Promise.reject(new Error('nobody may be left with this')) }],
] as const)("an asynchronous function as '%s' is refused, with what to use instead", async (name, options) => {
  const { identifier, keyOf } = identifying(options);
  const refused = { code: 'INVALID_KEY', message: expect.stringMatching(`'${name}'.+promise.+at once.+'key'`) };
  expect(() => keyOf({})).toThrow(expect.objectContaining(refused));
  expect(() => identifier.names({ ip: '192.0.2.1' }, undefined, '192.0.2.1')).toThrow(expect.objectContaining(refused));
  // A rejection that nobody waited for would fail the run here.
  await new Promise((resolve) => setImmediate(resolve));
});

test('requests whose headers contradict one another share one limit, and not that of what is no address', () => {
  const { identifier, keyOf } = identifying({ trustedProxies: 1 });
  const contradicting = (n: number) => ({ 'x-forwarded-for': `192.0.2.${n}`, forwarded: `for=198.51.100.${n}` });
  const keys = [1, 2, 3].map((n) => keyOf({ peer: '10.0.0.1', headers: contradicting(n) }));
  expect(new Set(keys)).toEqual(new Set(['ip:contradiction']));
  expect(identifier.canonical('ip:contradiction')).toBe('ip:contradiction');
  expect(identifier.address({ peer: 'nonsense' })).toEqual({ key: 'ip:invalid', from: 'ip', ceilings: [] });
});

test('a key that a function names has no ceiling, though it be an address', () => {
  const { identifier } = identifying();
  expect(identifier.named('2001:db8::1')).toEqual({ key: 'ip:2001:db8::/64', from: 'key', ceilings: [] });
});

test('strangers with headers of a proxy are told of once, however many there are', () => {
  const warnings: string[] = [];
  const identifier = new Identifier(
    { ...reader, header: (_, name) => (name === 'x-forwarded-for' ? '192.0.2.9' : undefined) },
    { trustedProxies: ['10.0.0.0/8'] },
    (message) => void warnings.push(message),
  );
  for (let i = 0; i < 50; i++) identifier.identify({ ip: `198.51.100.${i}` });
  expect(warnings).toHaveLength(1);
});

test('each way in which headers cannot be believed is told of, whichever came first', () => {
  const { keyOf, warnings } = identifying({ trustedProxies: 2 });
  const forwardedFor = { 'x-forwarded-for': '192.0.2.9' };
  const contradicting = { 'x-forwarded-for': '192.0.2.9, 10.0.0.2', forwarded: 'for=192.0.2.8, for=10.0.0.2' };
  for (let i = 0; i < 3; i++) {
    for (const headers of [forwardedFor, contradicting]) keyOf({ peer: '10.0.0.1', headers });
  }
  expect(warnings).toEqual([
    expect.stringContaining('fewer proxies'),
    expect.stringContaining('name different clients'),
  ]);
});
