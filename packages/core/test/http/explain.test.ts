import { ManualClock } from '@sluice/testing';
import { describe, expect, test } from 'vitest';
import {
  AccessList,
  type Charge,
  MemoryStore,
  Overrides,
  Pipeline,
  type RateLimitOptions,
  type RequestDecision,
} from '../../src/index.ts';
import { type FakeRequest, reader } from './exchange.ts';

const request: FakeRequest = { ip: '192.0.2.1', user: { id: '42' } };

function create(options: RateLimitOptions<FakeRequest>) {
  const clock = new ManualClock();
  return { clock, pipeline: new Pipeline(reader, { clock, ...options }) };
}

describe('an explanation', () => {
  test('asks the store to look, and never to take', async () => {
    const asked: string[] = [];
    class WatchedStore extends MemoryStore {
      override consume(charges: readonly Charge[]) {
        asked.push('consume');
        return super.consume(charges);
      }
      override peek(charges: readonly Charge[]) {
        asked.push('peek');
        return super.peek(charges);
      }
    }
    const { pipeline } = create({ limits: ['1/1m', '5/1h'], penalty: '1h', store: new WatchedStore() });
    for (let i = 0; i < 3; i++) expect((await pipeline.explain(request)).outcome).toBe('allowed');
    expect(asked).toEqual(['peek', 'peek', 'peek']);
  });

  test('tells what a request would be told, as long as nobody else asks', async () => {
    const limits = ['2/1m', '3/1h burst 4'] as const;
    const { clock, pipeline } = create({ limits, penalty: { blockFor: '10m', banAfter: 2 }, cost: 2 });
    const seen: string[] = [];
    for (let i = 0; i < 40; i++) {
      const explained = await pipeline.explain(request);
      const decided = (await pipeline.decide(request, true)) as RequestDecision;
      expect(explained.outcome).toBe(decided.allowed ? 'allowed' : 'refused');
      expect(explained.identity?.key).toBe(decided.key);
      seen.push(explained.outcome);
      clock.advance(7 * 60_000);
    }
    expect(new Set(seen)).toEqual(new Set(['allowed', 'refused']));
  });

  test('names the moment from which a request passes, to the millisecond', async () => {
    const { clock, pipeline } = create({ limit: 7, window: '1m', algorithm: 'token-bucket' });
    for (let i = 0; i < 7; i++) await pipeline.decide(request, true);
    const { passesAt } = await pipeline.explain(request);
    clock.advance(passesAt!.getTime() - clock.now() / 1_000 - 1);
    expect((await pipeline.explain(request)).outcome).toBe('refused');
    clock.advance(1);
    expect((await pipeline.explain(request)).outcome).toBe('allowed');
  });

  test('shows the ceilings of who could change his name at will', async () => {
    const { pipeline } = create({ limit: 2, window: '1h' });
    const { policies, identity } = await pipeline.explain({
      ip: '2001:db8:1:1::1',
      headers: { 'x-api-key': 'secret' },
    });
    expect(identity).toEqual({ key: expect.stringMatching(/^api-key:#[\w-]{22}$/), from: 'api-key' });
    expect(policies.map(({ kind, key, decision }) => [kind, key.replace(/#.*/, '#'), decision.limit])).toEqual([
      ['limit', 'api-key:#', 2],
      ['ceiling', 'ip:2001:db8:1:1::/64', 20],
      ['ceiling', 'ip:2001:db8:1::/48', 20],
    ]);
    expect(JSON.stringify(policies)).not.toContain('secret');
  });

  test('shows what an override grants', async () => {
    const overrides = new Overrides({ 'user:42': ['3/1m', '9/1h'] });
    const { pipeline } = create({ limit: 1, overrides });
    const { policies } = await pipeline.explain(request);
    expect(policies.map(({ policy, decision }) => [policy, decision.limit])).toEqual([
      ['override-1m', 3],
      ['override-1h', 9],
    ]);
  });

  test('says when a client who is blocked for a while gets through again', async () => {
    const clock = new ManualClock();
    const block = new AccessList(['192.0.2.0/24'], { clock });
    const { pipeline } = create({ limit: 1, lists: { block, allow: ['user:42'] }, clock });
    expect(await pipeline.explain(request)).toMatchObject({ outcome: 'blocked', passesAt: undefined, policies: [] });
    block.add('192.0.2.0/24', { expiresIn: '90s' });
    const until = new Date(clock.now() / 1_000 + 90_000);
    expect(await pipeline.explain(request)).toMatchObject({
      outcome: 'blocked',
      entry: '192.0.2.0/24',
      passesAt: until,
    });
    clock.advance(90_000);
    expect(await pipeline.explain(request)).toMatchObject({
      outcome: 'allow-listed',
      entry: 'user:42',
      passesAt: until,
      policies: [],
    });
  });

  test('fails as the request would: by the error of a callback, or for want of an address', async () => {
    const broken = new Error('broken');
    const { pipeline } = create({ key: () => Promise.reject(broken) });
    await expect(pipeline.explain(request)).rejects.toBe(broken);
    await expect(create({}).pipeline.explain({})).rejects.toMatchObject({ code: 'NO_IDENTITY' });
    await expect(create({ cost: () => -1 }).pipeline.explain(request)).rejects.toMatchObject({ code: 'INVALID_COST' });
  });

  test('counts a policy once that both phases look at', async () => {
    const { pipeline } = create({ limit: 9, key: 'ip', beforeAuth: '5/1h', penalty: { banAfter: 3 } });
    const { policies } = await pipeline.explain(request);
    expect(policies.map(({ policy, key }) => `${policy} ${key}`)).toEqual([
      'before-auth ip:192.0.2.1',
      'default ip:192.0.2.1',
      'default-ban ip:192.0.2.1',
    ]);
  });
});
