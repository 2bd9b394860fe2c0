import { ManualClock } from '@sluice/testing';
import { describe, expect, test } from 'vitest';
import {
  AccessList,
  type Charge,
  MemoryStore,
  Pipeline,
  type RateLimitOptions,
  type RequestEvent,
  type Rule,
} from '../../src/index.ts';
import { type FakeRequest, passing, type Refused, reader } from './exchange.ts';
import { behind, one, refuses } from './wrong-options.ts';

const ip = '192.0.2.1';
const a: FakeRequest = { ip, url: '/a', user: { id: '42' } };

function create(options: RateLimitOptions<FakeRequest>) {
  const clock = new ManualClock();
  return { clock, pipeline: new Pipeline(reader, { clock, ...options }) };
}

/** A store that remembers what it was asked to charge. */
function watchedStore() {
  const charges: Charge[] = [];
  class WatchedStore extends MemoryStore {
    override consume(asked: readonly Charge[]) {
      charges.push(...asked);
      return super.consume(asked);
    }
  }
  return { store: new WatchedStore({ clock: new ManualClock() }), charges };
}

describe('the lists of a rule name', () => {
  const tenant = ({ headers }: FakeRequest) => (headers?.['x-tenant'] as string | undefined) ?? (false as const);

  test.each([
    ['at once', tenant],
    ['with a promise', async (request: FakeRequest) => tenant(request)],
  ])("what the rule's 'by' returns %s, and the user and the address beside", async (_, by) => {
    const lists = { block: ['tenant-7', 'user:66', '192.0.2.6'], allow: ['tenant-8', 'user:88'] };
    const rules: Rule<FakeRequest>[] = [{ match: '/a', limit: 0, window: '1h', by, lists }];
    const { pipeline } = create({ rules });
    const kind = async (request: FakeRequest) => (await pipeline.judge({ ip, url: '/a', ...request }, true)).kind;
    const from = (name: string) => ({ headers: { 'x-tenant': name } });
    expect(await kind(from('tenant-7'))).toBe('blocked');
    expect(await kind(from('tenant-8'))).toBe('allow-listed');
    expect(await kind(from('tenant-9'))).toBe('quota');
    expect(await kind({ ...from('tenant-8'), user: { id: '66' } })).toBe('blocked');
    expect(await kind({ ...from('tenant-9'), user: { id: '88' } })).toBe('allow-listed');
    expect(await kind({ ...from('tenant-8'), ip: '192.0.2.6' })).toBe('blocked');
    // Whom the rule does not count it refuses all the same.
    expect(await kind({ ip: '192.0.2.6' })).toBe('blocked');
    expect(await kind({})).toBe('unlimited');
  });

  test('who the limiter counts, though the rule counts by address', () => {
    const lists = { block: ['api-key:leaked'], allow: ['user:42'] };
    const rules: Rule<FakeRequest>[] = [{ match: '/a', limit: 0, window: '1h', by: 'ip', lists }];
    const send = passing({ rules });
    expect(send(a).action).toBe('skip');
    expect(send({ ...a, headers: { 'x-api-key': 'leaked' } })).toMatchObject({ action: 'refuse', status: 403 });
    expect(send({ ip, url: '/a' })).toMatchObject({ action: 'refuse', status: 429 });
  });

  test('nobody where telling whom the rule counts fails', async () => {
    const by = async () => Promise.reject(new Error('no session'));
    const rules: Rule<FakeRequest>[] = [{ match: '/a', limit: false, by, lists: { block: ['tenant-7'] } }];
    await expect(async () => create({ rules }).pipeline.judge(a, true)).rejects.toThrow('no session');
  });
});

describe('who is on the allow list of a rule', () => {
  const allow = ['user:42'];

  test('is not limited by it, nor by the limits that it replaces, and takes no place among the requests at work', () => {
    const { store, charges } = watchedStore();
    const rules: Rule<FakeRequest>[] = [{ match: '/a', limit: 0, window: '1h', concurrency: 1, lists: { allow } }];
    const send = passing({ limit: 1, window: '1h', concurrency: 1, rules, store });
    for (let i = 0; i < 3; i++) expect(send(a)).toEqual({ action: 'skip' });
    expect(charges).toEqual([]);
    expect(send({ ...a, url: '/b' })).toMatchObject({ action: 'pass', decision: { remaining: 0 } });
  });

  test("counts by the limiter's own limits all the same where the rule stacks", () => {
    const rules: Rule<FakeRequest>[] = [{ match: '/a', limit: 0, window: '1h', stack: true, lists: { allow } }];
    const send = passing({ limit: 1, window: '1h', rules, clock: new ManualClock() });
    expect(send(a)).toMatchObject({ action: 'pass', decision: { policy: 'default', remaining: 0 } });
    expect(send(a).action).toBe('refuse');
  });

  test('counts by the other rules that the path could be meant for', () => {
    const rules: Rule<FakeRequest>[] = [
      { match: '/a', limit: 0, window: '1h', lists: { allow }, priority: 9 },
      { match: '/b/*', limit: 2, window: '1h' },
    ];
    const send = passing({ rules, clock: new ManualClock() });
    for (const url of ['/b/../a', '/b/%2e%2e/a']) {
      expect(send({ ...a, url })).toMatchObject({ action: 'pass', decision: { policy: 'b-all' } });
    }
    expect(send({ ...a, url: '/b/../a' })).toMatchObject({ action: 'refuse', decision: { policy: 'b-all' } });
    expect(send(a).action).toBe('skip');
  });

  test('does not lie blocked by the rule, but is refused while banned', () => {
    const list = new AccessList();
    const clock = new ManualClock();
    const rules: Rule<FakeRequest>[] = [{ match: '/a', limit: 0, window: '1h', penalty: '1d', lists: { allow: list } }];
    const send = passing({ limit: 0, penalty: { banAfter: 2, banFor: '1d' }, rules, clock });
    expect(send(a).action).toBe('refuse');
    list.add('user:42');
    expect(send(a).action).toBe('skip');
    for (let i = 0; i < 2; i++) send({ ...a, url: '/b' });
    expect(send(a)).toMatchObject({ action: 'refuse', status: 403 });
    clock.advance(86_400_000);
    expect(send(a).action).toBe('skip');
  });

  test('is counted in the phase before authentication', () => {
    const rules: Rule<FakeRequest>[] = [{ match: '/a', limit: 0, window: '1h', lists: { allow } }];
    const send = passing({ rules, beforeAuth: '2/1h', clock: new ManualClock() });
    expect([send({ ...a }).action, send({ ...a }).action, send({ ...a }).action]).toEqual(['pass', 'pass', 'refuse']);
  });

  test('is charged nothing afterwards', async () => {
    const rules: Rule<FakeRequest>[] = [{ match: '/a', limit: 5, window: '1h', lists: { allow } }];
    const { store, charges } = watchedStore();
    const { pipeline } = create({ rules, store });
    expect(await pipeline.charge(a, 3)).toBeUndefined();
    expect(charges).toEqual([]);
    expect(await pipeline.charge({ ...a, user: { id: '43' } }, 3)).toMatchObject({ remaining: 2 });
  });
});

describe('who is on the block list of a rule', () => {
  const block = ['user:42'];

  test('is refused with 403 where the rule applies, before anything is charged, and nowhere else', () => {
    const { store, charges } = watchedStore();
    const events: RequestEvent<FakeRequest>[] = [];
    const onDecision = (event: RequestEvent<FakeRequest>) => void events.push(event);
    const rules: Rule<FakeRequest>[] = [
      { match: '/a', ...one, stack: true, lists: { block } },
      { match: '/b/*', ...one, stack: true },
    ];
    const send = passing({ rules, store, onDecision });
    for (const url of ['/a', '/%61', '/b/../a', '/b/%2e%2e/a']) {
      const refused = send({ ...a, url }) as Refused;
      expect([refused.action, refused.status]).toEqual(['refuse', 403]);
      expect(refused.headers).not.toHaveProperty('Retry-After');
    }
    expect(charges).toEqual([]);
    expect(events.map(({ decision, key, rule }) => [decision.policy, key, rule])).toEqual(
      Array(4).fill(['block-list', 'user:42', '/a']),
    );
    expect(send({ ...a, url: '/b' }).action).toBe('pass');
  });

  test('is refused though he is on its allow list too, or on that of another rule', () => {
    const rules: Rule<FakeRequest>[] = [
      { match: '/a', ...one, lists: { block, allow: ['192.0.2.0/24'] } },
      { match: '/b/*', ...one, lists: { allow: ['192.0.2.0/24'] }, priority: 5 },
    ];
    const send = passing({ rules });
    expect(send(a)).toMatchObject({ action: 'refuse', status: 403 });
    expect(send({ ...a, url: '/b/../a' })).toMatchObject({ action: 'refuse', status: 403 });
    expect(send({ ...a, url: '/b' }).action).toBe('skip');
  });

  test('passes where the allow list of the limiter has him, which settles the matter before any rule', () => {
    const rules: Rule<FakeRequest>[] = [{ match: '/a', ...one, lists: { block } }];
    expect(passing({ rules, lists: { allow: [ip] } })(a).action).toBe('skip');
  });

  test('is refused by a rule that is there for its list alone, which leaves all others to the limiter', () => {
    const rules: Rule<FakeRequest>[] = [{ match: '/a', limit: false, stack: true, lists: { block } }];
    const send = passing({ limit: 1, window: '1h', rules, clock: new ManualClock() });
    expect(send(a)).toMatchObject({ action: 'refuse', status: 403 });
    const other = { ip, url: '/a' };
    expect([send(other).action, send(other)]).toMatchObject(['pass', { action: 'refuse', status: 429 }]);
  });

  test('is not refused by a shadow, which does not count him either', () => {
    const { store, charges } = watchedStore();
    const rules: Rule<FakeRequest>[] = [{ match: '/a', ...one, mode: 'shadow', lists: { block } }];
    const send = passing({ limit: 9, rules, store });
    expect(send(a)).toMatchObject({ action: 'pass', decision: { policy: 'default' } });
    expect(charges.map(({ policy }) => policy.name)).toEqual(['default']);
    send({ ip, url: '/a' });
    expect(charges.map(({ policy }) => policy.name)).toEqual(['default', 'default', 'a']);
  });

  test('is refused by a rule for part of the clients if he is of that part', () => {
    const lists = { block: ['192.0.2.0/24'] };
    const rules: Rule<FakeRequest>[] = [{ match: '/a', limit: false, enforcePercent: 50, lists }];
    const send = passing({ limit: 9, rules, clock: new ManualClock() });
    const actions = Array.from({ length: 100 }, (_, i) => send({ ip: `192.0.2.${i}`, url: '/a' }).action);
    expect(new Set(actions)).toEqual(new Set(['pass', 'refuse']));
  });

  test('passes again when the entry expires, as he was told', async () => {
    const clock = new ManualClock();
    const list = new AccessList([], { clock }).add('user:42', { expiresIn: '90s' });
    const rules: Rule<FakeRequest>[] = [{ match: '/a', ...one, lists: { block: list } }];
    const send = passing({ rules, clock });
    expect((send(a) as Refused).headers).toMatchObject({ 'Retry-After': '90' });
    clock.advance(90_000);
    expect(send(a).action).toBe('pass');
  });
});

test('a request is charged afterwards if it is not skipped', async () => {
  const { pipeline } = create({ limit: 5, skip: ({ url }) => url === '/skipped' });
  expect(await pipeline.charge({ ip, url: '/skipped' }, 3)).toBeUndefined();
  expect(await pipeline.charge({ ip, url: '/' }, 3)).toMatchObject({ remaining: 2 });
});

describe('of the lists of a rule', () => {
  const of = (lists: unknown, more: object = {}) => behind({ match: '/a', ...one, lists, ...more });
  refuses([
    ['undefined', of(undefined), 'INVALID_OPTION', /^rules\[1\]: 'lists' is undefined.+leave it out/],
    ['null', of(null), 'INVALID_OPTION', /^rules\[1\]: lists takes an object.+like \{ allow.+got null/],
    ['a list', of(['192.0.2.1']), 'INVALID_OPTION', /^rules\[1\]: lists takes an object.+like \{ allow/],
    ['one of nobody', of({ deny: ['192.0.2.1'] }), 'UNKNOWN_OPTION', /^rules\[1\]: lists has no option "deny"/],
    ['a text', of({ block: '192.0.2.1' }), 'INVALID_OPTION', /^rules\[1\]: lists\.block takes a list, like \[/],
    ['null for a list', of({ allow: null }), 'INVALID_OPTION', /^rules\[1\]: lists\.allow takes a list.+got null/],
    ['no range', of({ allow: ['192.0.2.0/33'] }), 'INVALID_OPTION', /^rules\[1\]: lists\.allow\[0\]/],
    [
      'of a rule that has no limit and stacks, but no block list',
      behind({ match: '/a', limit: false, stack: true, lists: { allow: ['192.0.2.1'] } }),
      'INVALID_OPTION',
      /^rules\[1\]: 'limit: false' is no limit, and 'stack: true'/,
    ],
  ]);
});
