import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import type { AnyRequest, Limits } from './apps.ts';
import { type Ask, type Attempt, limit, otherwise } from './attack.ts';

const apiKey = (key: string): Ask => ({ headers: [`X-API-Key: ${key}`] });
const user = (id: string): Ask => ({ headers: [`X-User: ${encodeURIComponent(id)}`] });
const login = (more: object): Partial<Limits> => ({
  rules: [{ match: 'POST /login', limit, window: '1h', algorithm: 'fixed-window', ...more }],
});

/** What a client may send of its own choosing, and is still the same client. */
const disguises: Readonly<Record<string, (i: number) => Ask>> = {
  'an empty API key': () => ({ headers: ['X-API-Key:'] }),
  'an API key of spaces': () => ({ headers: ['X-API-Key:    \t '] }),
  'two API keys': (i) => ({ headers: [`X-API-Key: a${i}`, `X-API-Key: b${i}`] }),
  'a list of API keys': (i) => apiKey(`a${i}, b${i}`),
  'an API key in the query': (i) => ({ path: `/login?x-api-key=${i}&api_key=${i}&apikey=${i}` }),
  'an API key under other names': (i) => ({ headers: [`Api-Key: ${i}`, `X_API_Key: ${i}`, `X-ApiKey: ${i}`] }),
  'an Authorization': (i) => ({ headers: [`Authorization: Bearer ${i}`] }),
  'a cookie': (i) => ({ headers: [`Cookie: session=${i}; user=${i}`] }),
  'a User-Agent': (i) => ({ headers: [`User-Agent: browser/${i}`, `Accept-Language: x-${i}`] }),
  'a Host': (i) => ({ headers: [`X-Forwarded-Host: ${i}.example`] }),
  'an Origin and a Referer': (i) => ({ headers: [`Origin: https://${i}.example`, `Referer: https://${i}.example/`] }),
  'request ids': (i) => ({ headers: [`X-Request-Id: ${i}`, `Traceparent: 00-${i}`, `Idempotency-Key: ${i}`] }),
};

/** Spellings of one API key. */
const sameKey: readonly Ask[] = [
  apiKey('secret'),
  { headers: ['x-api-key: secret'] },
  { headers: ['X-ApI-kEy:secret'] },
  { headers: ['X-API-Key:   secret  \t'] },
];

/** Two clients that a careless store key would take for one: what the one uses, the other must not miss. */
const pairs: Readonly<Record<string, readonly [Ask, Ask, Partial<Limits>?]>> = {
  'a user whose id is an API key': [user('secret'), apiKey('secret')],
  'an API key that reads like a user': [apiKey('user:42'), user('42')],
  'a user that reads like an address': [user('ip:127.0.0.1'), {}],
  'a user who is called like an address': [user('127.0.0.1'), {}],
  'a user that reads like a user': [user('user:42'), user('42')],
  'a user whose id is the digest of another': [
    user(`#${hash('sha256', 'a{b}', 'base64url').slice(0, 22)}`),
    user('a{b}'),
  ],
  'a user whose id is the digest of an API key': [
    user(`api-key:#${hash('sha256', 'secret', 'base64url').slice(0, 22)}`),
    apiKey('secret'),
  ],
  'users that differ in a line break': [user('a\nb'), user('a b')],
  'users that differ in braces': [user('{a}'), user('a')],
  'users that differ in case': [user('Ann'), user('ann')],
  'users that differ behind the 64th character': [user(`${'a'.repeat(70)}b`), user(`${'a'.repeat(70)}c`)],
  'a separator in the first of two parts': [
    { headers: ['X-A: a:b', 'X-B: c'] },
    { headers: ['X-A: a', 'X-B: b:c'] },
    { key: parts },
  ],
  'an empty first of two parts': [{ headers: ['X-A: :', 'X-B: c'] }, { headers: ['X-A: ', 'X-B: :c'] }, { key: parts }],
  'JSON in a part': [{ headers: ['X-A: a","b', 'X-B: c'] }, { headers: ['X-A: a', 'X-B: b","c'] }, { key: parts }],
};

function parts({ headers }: AnyRequest): string[] {
  return [String(headers['x-a']) || '-', String(headers['x-b'])];
}

export const identities: readonly Attempt[] = [
  ...Object.entries(disguises).map(
    ([what, ask]): Attempt => ({
      title: `another client by ${what}`,
      async run(target) {
        await target.exhaust();
        await target.repeat(6, ask);
      },
    }),
  ),
  ...Object.entries(pairs).map(
    ([title, [one, other, limits]]): Attempt => ({
      title: `the budget of somebody else, by ${title}`,
      most: 2 * limit,
      ...(limits && { limits }),
      async run(target) {
        await target.exhaust(one);
        await target.exhaust(other);
        await target.exhaust({ ...one, path: '/search', method: 'GET' });
      },
    }),
  ),
  {
    title: 'an API key in other spellings',
    async run(target) {
      for (const ask of [...sameKey, ...sameKey]) await target.send(ask);
      assert.equal(target.reached('POST /login'), limit);
    },
  },
  {
    title: 'a new API key with each request',
    most: 3 * limit,
    async run(target) {
      await target.repeat(20, (i) => apiKey(`key-${i}`));
      assert.equal(target.reached('POST /login'), 3 * limit);
    },
  },
  {
    title: 'a new API key with each request, all at once',
    most: 3 * limit,
    async run(target) {
      await Promise.all(Array.from({ length: 50 }, (_, i) => target.send(apiKey(`key-${i}`))));
    },
  },
  {
    title: 'new API keys as long as a header may be',
    most: 3 * limit,
    async run(target) {
      await target.repeat(12, (i) => apiKey(`${i}${'x'.repeat(12_000)}`));
    },
  },
  {
    title: 'a new API key where the login counts by address',
    limits: login({ by: 'ip' }),
    async run(target) {
      await target.repeat(8, (i) => apiKey(`key-${i}`));
      assert.equal(target.reached('POST /login'), limit);
    },
  },
  {
    title: 'a new API key where the login counts by API key',
    most: 3 * limit,
    limits: login({ by: 'api-key' }),
    async run(target) {
      await target.repeat(20, (i) => apiKey(`key-${i}`));
      assert.equal(target.reached('POST /login'), 3 * limit);
    },
  },
  {
    title: 'no API key where the login counts by API key',
    limits: login({ by: 'api-key' }),
    async run(target) {
      await target.exhaust();
      await target.repeat(4, (i) => ({ headers: [`X-User: ${i}`] }));
    },
  },
  {
    title: 'API keys that are nobody’s',
    limits: { identity: { verifyApiKey: async (key) => key === 'good' } },
    async run(target) {
      await target.exhaust();
      await target.repeat(8, (i) => apiKey(`key-${i}`));
      await target.repeat(2, apiKey('good '.repeat(2)));
    },
  },
  {
    title: 'a new API key with each request, before authentication',
    most: 2,
    limits: { beforeAuth: '2/1h', identity: { verifyApiKey: () => true } },
    async run(target) {
      await target.repeat(8, (i) => apiKey(`key-${i}`));
      assert.equal(target.reached('POST /login'), 2);
    },
  },
  {
    title: 'an API key beside a user, where the login counts by user',
    limits: login({ by: 'user' }),
    async run(target) {
      await target.repeat(8, (i) => ({ headers: [...user('ann').headers!, `X-API-Key: ${i}`] }));
      assert.equal(target.reached('POST /login'), limit);
    },
  },
  {
    title: 'a new API key for each request of one user',
    most: 3 * limit,
    async run(target) {
      await target.repeat(12, (i) => ({ headers: [...user('ann').headers!, `X-API-Key: ${i}`] }));
    },
  },
  {
    title: 'tiers that do not exist',
    most: otherwise,
    limits: {
      rules: [],
      limit: undefined,
      window: undefined,
      algorithm: undefined,
      tiers: { free: `${otherwise}/1h`, pro: '100/1h' },
      tier: ({ headers }) => headers['x-tier'] as string | undefined,
      defaultTier: 'free',
    },
    async run(target) {
      const names = ['', 'Pro', 'PRO', 'pro,pro', 'enterprise', '__proto__', 'constructor', 'toString', '0', 'null'];
      await target.repeat(names.length, (i) => ({ headers: [`X-Tier: ${names[i]}`] }));
      await target.repeat(2, { headers: ['X-Tier: pro', 'X-Tier: pro'] });
    },
  },
];
