import { ManualClock } from '@sluice/testing';
import { describe, expect, test } from 'vitest';
import { Pipeline } from '../../src/index.ts';
import { reader, type SeenOptions, type SeenRequest, send } from './mounted.ts';

const ip = '192.0.2.1';
const leaky = { limit: 1, window: '1s', algorithm: 'leaky-bucket', burst: 9 } as const;

/** A limiter of two phases, with what it decided as `mode policy`. */
function phases(options: SeenOptions) {
  const told: string[] = [];
  const pipeline = new Pipeline<SeenRequest>(reader, {
    limit: 9,
    window: '1h',
    clock: new ManualClock(),
    onDecision: ({ mode, decision: { policy } }) => void told.push(`${mode} ${policy}`),
    ...options,
  });
  return { told, pipeline, both: [pipeline.before(), pipeline], alone: [pipeline] };
}

describe.each(['both', 'alone'] as const)('where the middlewares mounted are %s', (mounted) => {
  test('a first phase in the shadow runs once per request', async () => {
    const scene = phases({ beforeAuth: '5/1h', mode: 'shadow' });
    for (let i = 0; i < 2; i++) expect(await send(scene[mounted], { ip })).toEqual({ action: 'skip' });
    const once = ['shadow before-auth', 'shadow default'];
    expect(scene.told).toEqual([...once, ...once]);
  });

  test('skip is asked at most twice', async () => {
    let asked = 0;
    for (const skip of [() => ++asked > 0, async () => ++asked > 0]) {
      asked = 0;
      const scene = phases({ beforeAuth: '5/1h', skip });
      expect(await send(scene[mounted], { ip })).toEqual({ action: 'skip' });
      expect(asked).toBe(2);
      expect(scene.told).toEqual([]);
    }
  });

  test('a percentage of 0 refuses nobody in the first phase either', async () => {
    const scene = phases({ beforeAuth: '0/1h', enforcePercent: 0 });
    expect(await send(scene[mounted], { ip })).toEqual({ action: 'skip' });
    expect(scene.told).toEqual(['shadow before-auth', 'shadow default']);
  });

  test('without shaping the first phase holds nothing', async () => {
    const scene = phases({ beforeAuth: leaky, shape: false });
    // What is held would wait for a clock that stands still.
    for (let i = 0; i < 3; i++) expect(await send(scene[mounted], { ip })).toMatchObject({ action: 'pass' });
  });

  test('the first phase refuses what it would hold for longer than maxDelay', async () => {
    const scene = phases({ beforeAuth: leaky, maxDelay: '0.5s' });
    expect(await send(scene[mounted], { ip })).toMatchObject({ action: 'pass' });
    expect(await send(scene[mounted], { ip })).toMatchObject({ action: 'refuse', decision: { policy: 'before-auth' } });
  });
});

test('a first phase that grants nothing to anybody refuses alike from both middlewares', async () => {
  for (const mounted of ['both', 'alone'] as const) {
    const scene = phases({ beforeAuth: '0/1h' });
    expect(await send(scene[mounted], { ip })).toMatchObject({ action: 'refuse', decision: { policy: 'before-auth' } });
    expect(scene.told).toEqual(['enforce before-auth']);
  }
});
