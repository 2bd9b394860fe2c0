import { ManualClock } from '@sluice/testing';
import { afterEach, describe, expect, test } from 'vitest';
import type { Configuration } from '../../src/configuration/configuration.ts';
import { FileConfigurationStore } from '../../src/configuration/file-store.ts';
import { LiveConfiguration } from '../../src/configuration/live.ts';
import { MemoryJournal } from './memory-journal.ts';
import { entryChange, ruleChange } from './store-suite.ts';

const minute = 60_000;
const hour = 60 * minute;

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const clean of cleanups.splice(0).toReversed()) await clean();
});

/** Instances over one store, which is in memory, and one clock. */
function setup() {
  const clock = new ManualClock();
  const journal = new MemoryJournal();
  const store = new FileConfigurationStore(journal, { clock });
  const warnings: string[] = [];
  const inMs = (ms: number) => ({ expiresAt: new Date(clock.now() / 1_000 + ms).toISOString() });
  const start = async (apply: (configuration: Configuration) => void = () => {}) => {
    const logger = { warn: (message: string) => void warnings.push(message) };
    const live = await LiveConfiguration.start(store, { apply, clock, logger });
    cleanups.push(() => live.close());
    return live;
  };
  const kept = async () => [...(await store.load()).block.keys()];
  return { clock, journal, store, warnings, inMs, start, kept };
}

describe('an entry of a list that has ended', () => {
  test('is deleted from the store an hour later, by expiry, and is told of once', async () => {
    const { clock, store, inMs, start, kept } = setup();
    const live = await start();
    await live.write(entryChange('block', 'user:1', inMs(minute)), 'me', 'absent');
    await live.write(entryChange('block', 'user:2', inMs(2 * hour)), 'me', 'absent');
    await live.write(entryChange('block', 'user:3'), 'me', 'absent');
    await clock.pass(minute + hour - 1);
    expect(await kept()).toEqual(['user:1', 'user:2', 'user:3']);
    await clock.pass(1);
    expect(await kept()).toEqual(['user:2', 'user:3']);
    const [latest] = await store.audit(1);
    expect(latest).toMatchObject({ version: 4, by: 'expiry', kind: 'block', id: 'user:1', after: null });
    expect(latest!.before).toMatchObject({ entry: 'user:1', version: 1 });
    expect(live.status).toMatchObject({ version: 4, stale: undefined });
    await clock.pass(3 * hour);
    expect(await kept()).toEqual(['user:3']);
    expect(await store.version()).toBe(5);
  });

  test('goes in portions, so that the others get their turn', async () => {
    const { clock, store, inMs, start, kept } = setup();
    for (let i = 0; i < 250; i++) await store.write(entryChange('block', `user:${i}`, inMs(1_000)), 'me', 'absent');
    await start();
    await clock.pass(1_000 + hour);
    expect(await kept()).toHaveLength(150);
    await clock.pass(9_999);
    expect(await kept()).toHaveLength(150);
    await clock.pass(1);
    expect(await kept()).toHaveLength(50);
    await clock.pass(10_000);
    expect(await kept()).toEqual([]);
    expect(clock.pending).toBeLessThan(3);
  });

  test('is deleted by one of many instances, and the others write nothing', async () => {
    const { clock, store, inMs, start, kept } = setup();
    for (let i = 0; i < 30; i++) await store.write(entryChange('block', `user:${i}`, inMs(1_000)), 'me', 'absent');
    for (let i = 0; i < 3; i++) await start();
    await clock.pass(2 * hour);
    expect(await kept()).toEqual([]);
    expect(await store.version()).toBe(60);
  });

  test('stays where it was renewed, even in the moment of its deletion', async () => {
    const { clock, journal, store, inMs, start, kept } = setup();
    await store.write(entryChange('block', 'user:1', inMs(1_000)), 'me', 'absent');
    await start();
    await clock.pass(hour);
    let open = () => {};
    journal.gate = new Promise<void>((resolve) => {
      open = resolve;
    });
    const renewed = store.write(entryChange('block', 'user:1', inMs(5 * hour)), 'me', 'absent');
    await clock.pass(1_000);
    open();
    expect(await renewed).toMatchObject({ outcome: 'written', entry: { version: 2, before: null } });
    await clock.pass(minute);
    expect(await kept()).toEqual(['user:1']);
    expect(await store.version()).toBe(2);
  });

  test('that cannot be deleted is tried again after a minute, and told of once', async () => {
    const { clock, journal, store, warnings, inMs, start, kept } = setup();
    await store.write(entryChange('block', 'user:1', inMs(1_000)), 'me', 'absent');
    await start();
    journal.failure = new Error('ENOSPC');
    let attempts = 0;
    const write = store.write.bind(store);
    store.write = (...args) => {
      attempts++;
      return write(...args);
    };
    await clock.pass(1_000 + hour + 5 * minute);
    expect(attempts).toBe(6);
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toContain('could not be deleted');
    expect(await kept()).toEqual(['user:1']);
    journal.failure = undefined;
    await clock.pass(minute);
    expect(await kept()).toEqual([]);
  });

  test('is not deleted by a process that is closed', async () => {
    const { clock, store, inMs, start, kept } = setup();
    for (let i = 0; i < 5; i++) await store.write(entryChange('block', `user:${i}`, inMs(1_000)), 'me', 'absent');
    const live = await start();
    await clock.pass(1_000 + hour - 1);
    await live.close();
    await clock.pass(hour);
    expect(await kept()).toHaveLength(5);
    expect(clock.pending).toBe(0);
  });

  test('keeps nobody from what else is written meanwhile', async () => {
    const { clock, inMs, start } = setup();
    const live = await start();
    for (let i = 0; i < 20; i++) await live.write(entryChange('allow', `user:${i}`, inMs(1_000)), 'me', 'absent');
    await clock.pass(hour + 999);
    const passing = clock.pass(1);
    expect(await live.write(ruleChange('a'), 'me', 'absent')).toMatchObject({ outcome: 'written' });
    await passing;
    await clock.pass(10_000);
    expect(live.current.rules.has('a')).toBe(true);
    expect(live.status.stale).toBeUndefined();
  });
});
