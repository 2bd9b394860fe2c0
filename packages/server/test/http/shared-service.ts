import { expect, it } from 'vitest';
import { until } from '../../../../test/support/redis/until.ts';
import type { Client, Reply } from '../support/client.ts';
import { totalsBy } from '../support/series.ts';
import type { Start } from '../support/service.ts';

/** Milliseconds in which a write on one instance must be in force on every other. */
const bound = 1_000;

/** Asks until the answer is as wanted, and tells how many milliseconds that has taken. */
async function timeTo(what: string, isSo: () => Promise<boolean>): Promise<number> {
  const begun = performance.now();
  await until(what, isSo);
  return performance.now() - begun;
}

/** Sends so many requests to the instances by turns, many at a time, and collects the answers. */
async function hammer(
  instances: readonly Client[],
  count: number,
  send: (client: Client) => Promise<Reply>,
): Promise<readonly Reply[]> {
  const replies: Reply[] = [];
  let sent = 0;
  const worker = async () => {
    while (sent < count) {
      const client = instances[sent++ % instances.length]!;
      replies.push(await send(client));
    }
  };
  await Promise.all(Array.from({ length: 50 }, worker));
  return replies;
}

/** What two instances must do together that share a Redis, of whatever kind that is. */
export function actsAsOne(start: Start): void {
  const window = '365d';
  const defaults = { algorithm: 'token-bucket', limit: 10, window } as const;
  const both = async () => [await start({ defaults }), await start({ defaults })] as const;

  it('limits on one by a rule that was written on the other, within a second, and no longer when it is gone', async () => {
    const [a, b] = await both();
    const rule = { id: 'login', endpoint: '/login', limit: 2, window };
    const ofRule = async (client: Client) =>
      (await client.check({ user_id: 'alice', endpoint: '/login', cost: 0 })).json.rule === 'login';
    expect(await ofRule(b)).toBe(false);
    expect((await a.post('/ratelimit/rules', rule)).status).toBe(201);
    expect(await ofRule(a)).toBe(true);
    expect(await timeTo('the rule is in force on the other', () => ofRule(b))).toBeLessThan(bound);
    const check = (client: Client) => client.check({ user_id: 'alice', endpoint: '/login' });
    expect([(await check(a)).status, (await check(b)).status]).toEqual([200, 200]);
    expect([(await check(a)).status, (await check(b)).status]).toEqual([429, 429]);
    expect((await b.get('/ratelimit/rules/login')).json).toMatchObject({ limit: 2, version: 1 });
    expect((await b.delete('/ratelimit/rules/login')).status).toBe(204);
    expect(await timeTo('the rule is gone on the other', async () => !(await ofRule(a)))).toBeLessThan(bound);
  });

  it('goes on both by entries of the lists that were written on one, within a second', async () => {
    const [a, b] = await both();
    const reason = async (client: Client) => (await client.check({ ip: '203.0.113.9', cost: 0 })).json.reason;
    expect(await reason(b)).toBe('granted');
    for (const [list, reasonOf] of [
      ['allow', 'allow-list'],
      ['block', 'block-list'],
    ] as const) {
      expect((await a.put(`/ratelimit/lists/${list}/203.0.113.0%2F24`)).status).toBe(201);
      const took = await timeTo(`the ${list} list is in force`, async () => (await reason(b)) === reasonOf);
      expect(took, list).toBeLessThan(bound);
    }
    for (const list of ['block', 'allow']) {
      expect((await b.delete(`/ratelimit/lists/${list}/203.0.113.0%2F24`)).status).toBe(204);
    }
    expect(await timeTo('the lists are empty', async () => (await reason(a)) === 'granted')).toBeLessThan(bound);
  });

  it('goes on both by the limits of a user that were set on one, within a second', async () => {
    const [a, b] = await both();
    const policy = async (client: Client) => (await client.check({ user_id: 'alice', cost: 0 })).json;
    expect(await policy(b)).toMatchObject({ policy: 'default', remaining: 10 });
    const isOwn = async (client: Client, remaining: number) => {
      const json = await policy(client);
      return json.policy === 'override' && json.remaining === remaining;
    };
    await a.post('/users?user_id=alice&max_tokens=40&refill_rate=0.001');
    expect(await isOwn(a, 40)).toBe(true);
    expect(await timeTo('the limits are in force', () => isOwn(b, 40))).toBeLessThan(bound);
    await b.post('/users?user_id=alice&max_tokens=30&refill_rate=0.001');
    expect(await timeTo('the limits have changed', () => isOwn(a, 30))).toBeLessThan(bound);
    expect((await a.delete('/users?user_id=alice')).status).toBe(204);
    const isGone = async () => (await policy(b)).policy === 'default';
    expect(await timeTo('the limits are gone', isGone)).toBeLessThan(bound);
  });

  it('grants exactly the limit when both are asked at once', async () => {
    const [a, b] = await both();
    const limits = ['fixed-window', 'sliding-window-log', 'sliding-window-counter', 'token-bucket', 'leaky-bucket'];
    for (const algorithm of limits) {
      const rule = { id: algorithm, endpoint: `/${algorithm}`, limit: 70, window, algorithm };
      await a.post('/ratelimit/rules', rule);
    }
    const last = async () => (await b.get('/ratelimit/rules')).json.version === limits.length;
    expect(await timeTo('the rules are in force', last)).toBeLessThan(bound);
    for (const algorithm of limits) {
      const check = (client: Client) => client.check({ user_id: 'alice', endpoint: `/${algorithm}` });
      const replies = await hammer([a, b], 200, check);
      const sources = new Set(replies.map(({ json }) => json.source));
      expect({ algorithm, sources: [...sources] }).toEqual({ algorithm, sources: ['store'] });
      const granted = replies.filter(({ status }) => status === 200);
      expect({ algorithm, granted: granted.length }).toEqual({ algorithm, granted: 70 });
      // Each of them was told another number of what is left.
      const left = granted.map(({ json }) => json.remaining).sort((one, other) => one - other);
      expect(left).toEqual(Array.from({ length: 70 }, (_, i) => i));
    }
  });

  it('counts exactly, over both', async () => {
    const [a, b] = await both();
    await hammer([a, b], 100, (client) => client.check({ user_id: 'alice' }));
    await hammer([a], 9, (client) => client.check({ user_id: 'bob' }));
    await hammer([b], 20, (client) => client.check({ ip: '192.0.2.1' }));
    const sums = { allowed: 10 + 9 + 10, refused: 90 + 10, shadow_refused: 0, sources: { store: 129 } };
    for (const client of [a, b]) {
      await until('all is counted', async () => {
        const { '(none)': totals } = await totalsBy(client, 'rule');
        return totals !== undefined && totals.allowed + totals.refused >= 129;
      });
      expect(await totalsBy(client, 'rule')).toEqual({ '(none)': sums });
      const top = async (by: string) => (await client.get(`/ratelimit/analytics/top?by=${by}&window=1h`)).json.top;
      expect(await top('requests')).toEqual([
        { key: 'user:alice', count: 100, error: 0 },
        { key: 'ip:192.0.2.1', count: 20, error: 0 },
        { key: 'user:bob', count: 9, error: 0 },
      ]);
      expect(await top('refused')).toEqual([
        { key: 'user:alice', count: 90, error: 0 },
        { key: 'ip:192.0.2.1', count: 10, error: 0 },
      ]);
    }
  });
}
