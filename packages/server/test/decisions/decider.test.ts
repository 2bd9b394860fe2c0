import { MemoryStore } from '@sluice/core';
import { ManualClock } from '@sluice/testing';
import { describe, expect, it } from 'vitest';
import type { Configuration, RuleDocument, StoredEntry, StoredRule } from '../../src/configuration/configuration.ts';
import { Decider, type Observation } from '../../src/decisions/decider.ts';
import type { User, UserDirectory, UserLimits } from '../../src/users/user.ts';

const time = '2026-01-01T00:00:00.000Z';

/** Users as a test sets them; a directory of the service keeps them elsewhere. */
class Users implements UserDirectory {
  readonly limits = new Map<string, UserLimits>();
  readonly seen: string[] = [];
  isBroken = false;

  see(id: string): User {
    this.seen.push(id);
    return { id, limits: this.limits.get(id), createdAt: time, updatedAt: time };
  }

  async find(id: string): Promise<User | undefined> {
    if (this.isBroken) throw new Error('It is broken.');
    return this.limits.has(id) ? { id, limits: this.limits.get(id), createdAt: time, updatedAt: time } : undefined;
  }

  async set(): Promise<User> {
    throw new Error('No test sets limits in this way.');
  }

  async remove(id: string): Promise<boolean> {
    return this.limits.delete(id);
  }

  async page() {
    return { users: [], next: undefined };
  }

  readonly size = undefined;
  async close() {}
}

function decider(more: Partial<ConstructorParameters<typeof Decider>[0]> = {}) {
  const clock = new ManualClock(Date.parse(time));
  const users = new Users();
  const observed: Observation[] = [];
  const warnings: string[] = [];
  const own = new Decider({
    store: new MemoryStore({ clock }),
    users,
    defaults: { algorithm: 'token-bucket', limit: 10, window: '1h' },
    rules: [],
    lists: { allow: [], block: [] },
    headers: 'legacy',
    clock,
    observe: (observation) => observed.push(observation),
    observeStore: () => {},
    logger: { warn: (message) => warnings.push(message) },
    ...more,
  });
  return { own, clock, users, observed, warnings };
}

let version = 0;
const stored = (rule: RuleDocument): [string, StoredRule] => [
  rule.id,
  { rule, version: ++version, createdAt: time, updatedAt: time },
];
const entry = (id: string, expiresAt?: string): [string, StoredEntry] => [
  id,
  { entry: id, version: ++version, createdAt: time, ...(expiresAt !== undefined && { expiresAt }) },
];
const configuration = (more: Partial<Configuration>): Configuration => ({
  version: ++version,
  rules: new Map(),
  allow: new Map(),
  block: new Map(),
  ...more,
});

const login: RuleDocument = { id: 'login', endpoint: '/login', limit: 3, window: '1h' };
const about = { userId: 'alice', endpoint: '/login' };

describe('a decider that warms up', () => {
  it('has taken nothing from anybody, and has told of no decision and of no call', async () => {
    let calls = 0;
    const { own, observed } = decider({ observeStore: () => calls++ });
    await own.warmUp();
    expect(calls).toBe(0);
    const { answer } = await own.check({ ip: '192.0.2.0', method: 'GET', endpoint: '/' });
    expect(answer).toMatchObject({ limit: 10, remaining: 9 });
    expect(observed).toHaveLength(1);
    expect(calls).toBe(1);
  });
});

describe('A decider', () => {
  it('goes on with what was counted when other rules come and go', async () => {
    const { own } = decider();
    const first = stored(login);
    own.apply(configuration({ rules: new Map([first]) }));
    expect((await own.check(about)).answer).toMatchObject({ rule: 'login', remaining: 2 });
    own.apply(configuration({ rules: new Map([first, stored({ ...login, id: 'other', endpoint: '/other' })]) }));
    expect((await own.check(about)).answer).toMatchObject({ rule: 'login', remaining: 1 });
    own.apply(configuration({ rules: new Map() }));
    expect((await own.check(about)).answer).toMatchObject({ rule: null, remaining: 9 });
    own.apply(configuration({ rules: new Map([first]) }));
    expect((await own.check(about)).answer).toMatchObject({ rule: 'login', remaining: 0 });
  });

  it('is as it was after rules that cannot be read', async () => {
    const { own } = decider();
    own.apply(configuration({ rules: new Map([stored(login)]) }));
    const broken = stored({ ...login, window: 'soon' });
    expect(() => own.apply(configuration({ rules: new Map([broken]) }))).toThrow(/window/);
    expect((await own.check(about)).answer).toMatchObject({ rule: 'login', limit: 3 });
  });

  it('puts the earlier one of two rules in force that cannot stand beside one another, and tells of the other', async () => {
    const { own, warnings } = decider();
    const rules = [stored(login), stored({ ...login, id: 'again', endpoint: '/LOGIN/', limit: 9 })];
    own.apply(configuration({ rules: new Map(rules.toReversed()) }));
    expect([...own.inactive.keys()]).toEqual(['again']);
    expect(warnings.join()).toContain("'again' is not in force");
    expect((await own.check(about)).answer).toMatchObject({ rule: 'login', limit: 3 });
  });

  it('lets entries of lists end when they are to end, and goes on by those of the file', async () => {
    const { own, clock } = decider({ lists: { allow: [], block: ['192.0.2.1'] } });
    const ends = '2026-01-01T00:01:00.000Z';
    const block = new Map([entry('203.0.113.0/24', ends), entry('192.0.2.1', ends), entry('198.51.100.1')]);
    own.apply(configuration({ block }));
    const reason = async (ip: string) => (await own.check({ ip })).answer.reason;
    expect(await reason('203.0.113.9')).toBe('block-list');
    clock.advance(59_999);
    expect(await reason('203.0.113.9')).toBe('block-list');
    clock.advance(1);
    expect(await reason('203.0.113.9')).toBe('granted');
    expect(await reason('192.0.2.1')).toBe('block-list');
    expect(await reason('198.51.100.1')).toBe('block-list');
    own.apply(configuration({}));
    expect(await reason('198.51.100.1')).toBe('granted');
    expect(await reason('192.0.2.1')).toBe('block-list');
  });

  it('blocks for years where an entry says so', async () => {
    const { own, clock } = decider();
    own.apply(configuration({ block: new Map([entry('203.0.113.9', '2030-01-01T00:00:00.000Z')]) }));
    clock.advance(40 * 86_400_000);
    expect((await own.check({ ip: '203.0.113.9' })).answer.reason).toBe('block-list');
  });

  it('goes by the limits of a user as soon as the directory tells them', async () => {
    const { own, users } = decider();
    const remaining = async () => (await own.check({ userId: 'alice' })).answer.remaining;
    expect(await remaining()).toBe(9);
    users.limits.set('alice', { algorithm: 'token-bucket', max_tokens: 20, refill_rate: 1 });
    expect(await remaining()).toBe(18);
    users.limits.delete('alice');
    expect(await remaining()).toBe(7);
  });

  it('decides on a batch in order, each user’s checks one after another', async () => {
    const { own } = decider();
    const checks = Array.from({ length: 200 }, (_, i) => ({ userId: `user-${i % 3}`, cost: 1 + (i % 2) }));
    const singly = decider().own;
    const expected = [];
    for (const check of checks) expected.push((await singly.check(check)).answer);
    expect((await own.checkAll(checks)).map(({ answer }) => answer)).toEqual(expected);
  });

  it('tells of each decision what is counted, by the endpoint of the rule or the path without its query', async () => {
    const { own, observed } = decider();
    own.apply(configuration({ rules: new Map([stored(login), stored({ ...login, id: 'pro', tier: 'pro' })]) }));
    await own.check({ ...about, tier: 'pro' });
    await own.check({ ...about, endpoint: '/Other/?secret=1', tier: 'unknown' });
    await own.check({ apiKey: 'key' });
    expect(observed).toEqual([
      {
        outcome: 'allowed',
        source: 'store',
        rule: 'pro',
        endpoint: '/login',
        tier: 'pro',
        key: 'user:alice',
        near: false,
      },
      {
        outcome: 'allowed',
        source: 'store',
        rule: undefined,
        endpoint: expect.not.stringContaining('secret'),
        tier: undefined,
        key: 'user:alice',
        near: false,
      },
      {
        outcome: 'allowed',
        source: 'store',
        rule: undefined,
        endpoint: undefined,
        tier: undefined,
        key: expect.stringMatching(/^api-key:#[\w-]{22}$/),
        near: false,
      },
    ]);
  });

  it('simulates without charging, without counting, and without making anybody known', async () => {
    const { own, users, observed } = decider();
    for (let i = 0; i < 3; i++) {
      expect((await own.simulate({ userId: 'alice', cost: 4 })).answer).toMatchObject({ allowed: true, remaining: 10 });
    }
    expect({ observed, seen: users.seen }).toEqual({ observed: [], seen: [] });
  });

  it('simulates by what it knows of a user while the directory cannot be asked', async () => {
    const { own, users } = decider();
    users.limits.set('alice', { algorithm: 'leaky-bucket', capacity: 3, leak_rate: 1 });
    await own.check({ userId: 'alice' });
    users.isBroken = true;
    expect((await own.simulate({ userId: 'alice' })).answer).toMatchObject({ policy: 'override', remaining: 2 });
  });

  it('counts tiers apart from one another, and the rules for all together', async () => {
    const { own } = decider();
    const search: RuleDocument = { ...login, id: 'search', endpoint: '/search' };
    const rules = [stored(search), stored({ ...login, tier: 'pro' }), stored({ ...login, id: 'gold', tier: 'gold' })];
    own.apply(configuration({ rules: new Map(rules) }));
    const check = async (endpoint: string, tier: string) =>
      (await own.check({ userId: 'alice', endpoint, tier })).answer;
    expect(await check('/login', 'pro')).toMatchObject({ rule: 'login', remaining: 2 });
    expect(await check('/login', 'gold')).toMatchObject({ rule: 'gold', remaining: 2 });
    expect(await check('/search', 'pro')).toMatchObject({ rule: 'search', remaining: 2 });
    expect(await check('/search', 'gold')).toMatchObject({ rule: 'search', remaining: 1 });
    expect(await check('/login', 'none')).toMatchObject({ rule: null });
  });

  it('has the rule of a tier apply to the methods that it is for, and the rule for all to the others', async () => {
    const { own } = decider();
    const all: RuleDocument = { ...login, id: 'all', methods: ['GET', 'POST'] };
    const pro: RuleDocument = { ...login, id: 'pro', tier: 'pro', methods: ['POST'] };
    own.apply(configuration({ rules: new Map([stored(all), stored(pro)]) }));
    const rule = async (method: string, tier?: string) => (await own.check({ ...about, method, tier })).answer.rule;
    expect(await rule('POST', 'pro')).toBe('pro');
    expect(await rule('GET', 'pro')).toBe('all');
    expect(await rule('POST')).toBe('all');
    expect(await rule('DELETE', 'pro')).toBeNull();
  });
});
