import { ManualClock } from '@sluice/testing';
import { describe, expect, test } from 'vitest';
import { Pipeline, type RateLimitOptions, type Rule } from '../../src/index.ts';
import { type FakeRequest, reader } from './exchange.ts';
import { one } from './wrong-options.ts';

const a: FakeRequest = { ip: '192.0.2.1', url: '/a', user: { id: '42' } };

function create(options: RateLimitOptions<FakeRequest>) {
  const clock = new ManualClock();
  return { clock, pipeline: new Pipeline(reader, { clock, ...options }) };
}

describe('the explanation of a request of who is named in the lists of a rule', () => {
  const lists = { block: ['user:66', 'api-key:hidden'], allow: ['user:42', '192.0.2.0/24'] };
  const rules: Rule<FakeRequest>[] = [
    { match: '/a', ...one, lists },
    { match: '/stacked', ...one, stack: true, lists },
    { match: '/b/*', ...one },
    { match: '/free', limit: false },
  ];

  test.each([
    [
      'who is exempt from the only rule',
      a,
      'allow-listed',
      'user:42',
      "is not limited: 'user:42' is on the allow list of the rule '/a'.",
    ],
    [
      'who is blocked by a rule',
      { ...a, user: { id: '66' } },
      'blocked',
      'user:66',
      "is refused: 'user:66' is on the block list of the rule '/a'.",
    ],
    [
      'who is blocked by one of the rules that a path could be meant for',
      { ...a, user: { id: '66' }, url: '/b/../a' },
      'blocked',
      'user:66',
      "is refused: 'user:66' is on the block list of the rule '/a'.",
    ],
    [
      'who is exempt from a rule that stacks',
      { ...a, url: '/stacked' },
      'allowed',
      'user:42',
      "passes: the rule '/stacked' applies, and 'user:42' is on the allow list of the rule '/stacked'.",
    ],
    [
      'who is exempt from one of two rules',
      { ...a, url: '/b/../a' },
      'allowed',
      'user:42',
      "passes: the rule '/b/*' applies, and 'user:42' is on the allow list of the rule '/a'.",
    ],
    [
      'who sends an API key that is blocked, without showing it',
      { ...a, headers: { 'x-api-key': 'hidden' } },
      'blocked',
      'api-key:…',
      "is refused: 'api-key:…' is on the block list of the rule '/a'.",
    ],
    ['who is of no list', { ip: '203.0.113.1', url: '/a' }, 'allowed', undefined, "passes: the rule '/a' applies."],
    [
      'who is of no list, by a rule without limits',
      { ip: '203.0.113.1', url: '/free' },
      'unlimited',
      undefined,
      "is not limited: the rule '/free' has no limit.",
    ],
  ])('says of %s why', async (_, request, outcome, entry, sentence) => {
    const explained = await create({ rules }).pipeline.explain(request);
    expect([explained.outcome, explained.entry]).toEqual([outcome, entry]);
    expect(explained.summary).toContain(`) ${sentence}`);
    expect(JSON.stringify(explained)).not.toContain('hidden');
    if (outcome === 'blocked') expect([explained.rule, explained.policies]).toEqual(['/a', []]);
  });

  test('says when who is banned gets through, whatever list he is on', async () => {
    const { pipeline } = create({ limit: 0, penalty: { banAfter: 1, banFor: '1h' }, rules });
    const { clock, pipeline: other } = create({ limit: 0, penalty: { banAfter: 1, banFor: '1h' }, rules });
    expect((await pipeline.explain(a)).outcome).toBe('allow-listed');
    await other.judge({ ...a, url: '/other' }, true);
    const banned = await other.explain(a);
    expect([banned.outcome, banned.passesAt?.getTime()]).toEqual(['refused', clock.now() / 1_000 + 3_600_000]);
    expect((await other.judge(a, true)).kind).toBe('banned');
  });
});
