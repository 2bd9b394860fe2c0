import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { ManualClock } from '@sluice/testing';
import { describe, expect, test } from 'vitest';
import {
  type AlgorithmName,
  type CompiledPolicy,
  compilePolicies,
  MemoryStore,
  type MemoryStoreOptions,
} from '../../src/index.ts';

const algorithms: AlgorithmName[] = [
  'fixed-window',
  'sliding-window-log',
  'sliding-window-counter',
  'token-bucket',
  'leaky-bucket',
];

function policyOf(algorithm: AlgorithmName, limit = 2): CompiledPolicy {
  return compilePolicies([{ algorithm, limit, window: '10s' }], 'test')[0]!;
}

function take(store: MemoryStore, policy: CompiledPolicy, key: string, cost = 1) {
  return store.consume([{ policy, key, cost }])[0]!;
}

describe('keys that are fresh again', () => {
  test.each(algorithms)('of a %s are forgotten, and then no timer is left', (algorithm) => {
    const clock = new ManualClock();
    const store = new MemoryStore({ clock });
    const policy = policyOf(algorithm);
    expect(clock.pending).toBe(0);
    let resetAfter = 0;
    for (let i = 0; i < 500; i++) resetAfter = take(store, policy, `key ${i}`).resetAfter;
    expect(store.size).toBe(500);
    expect(clock.pending).toBe(1);

    clock.advance(resetAfter - 1);
    expect(store.size).toBe(500);
    clock.advance(1_002);
    expect(store.size).toBe(0);
    expect(clock.pending).toBe(0);

    take(store, policy, 'another');
    expect(clock.pending).toBe(1);
  });

  test('go while others stay: the store holds as many keys as are active', () => {
    const clock = new ManualClock();
    const store = new MemoryStore({ clock });
    const policy = policyOf('fixed-window');
    for (let minute = 0; minute < 20; minute++) {
      for (let i = 0; i < 1_000; i++) take(store, policy, `${minute}:${i}`);
      expect(store.size).toBeLessThanOrEqual(2_000);
      clock.advance(10_000);
    }
    expect(store.evictions).toBe(0);
  });

  test('go even in a process that never yields to its timers', () => {
    const clock = new ManualClock();
    const store = new MemoryStore({ clock });
    const policy = policyOf('token-bucket');
    for (let i = 0; i < 100_000; i++) {
      take(store, policy, `key ${i}`);
      clock.jump(10);
    }
    // A unit is back after 5 s, which is 500 keys later.
    expect(store.size).toBeLessThan(10_000);
  });

  test.each(algorithms)('of a %s leave at once when all their units are given back', (algorithm) => {
    const store = new MemoryStore({ clock: new ManualClock() });
    const policy = policyOf(algorithm);
    const { at } = take(store, policy, 'alice', 2);
    store.release([{ policy, key: 'alice', cost: 2, at }]);
    expect(store.size).toBe(0);
  });

  test('and keys that are reset, looked at or refused while fresh, take no room', () => {
    const store = new MemoryStore({ clock: new ManualClock() });
    const policy = policyOf('token-bucket');
    take(store, policy, 'alice');
    store.reset('alice', [policy]);
    store.peek([{ policy, key: 'bob', cost: 1 }]);
    take(store, policy, 'carol', 0);
    take(store, policy, 'dave', 3);
    expect(store.size).toBe(0);
  });
});

describe('the sweep', () => {
  test('of 300,000 keys goes in slices, none of which looks at more than a bounded number of slots', () => {
    const clock = new ManualClock();
    const removed: number[] = [];
    const watched = {
      now: () => clock.now(),
      after: (ms: number, run: () => void) =>
        clock.after(ms, () => {
          const before = store.size;
          run();
          removed.push(before - store.size);
        }),
    };
    const store = new MemoryStore({ clock: watched });
    const policy = policyOf('fixed-window');
    for (let i = 0; i < 300_000; i++) take(store, policy, `key ${i}`);
    expect(store.size).toBe(300_000);

    clock.advance(30_000);
    expect(store.size).toBe(0);
    expect(removed.reduce((sum, count) => sum + count, 0)).toBe(300_000);
    expect(Math.max(...removed)).toBeLessThanOrEqual(8_192);
    expect(clock.pending).toBe(0);
  });

  test('ends a slice sooner where the machine is slow', () => {
    let now = 0;
    let slowness = 0;
    let next: (() => void) | undefined;
    const clock = {
      now: () => (now += slowness),
      after: (_: number, run: () => void) => {
        next = run;
        return () => {};
      },
    };
    const store = new MemoryStore({ clock });
    const policy = policyOf('fixed-window');
    for (let i = 0; i < 50_000; i++) take(store, policy, `key ${i}`);
    now += 10_000_000;
    slowness = 1_000;
    let most = 0;
    while (store.size > 0) {
      const before = store.size;
      next!();
      most = Math.max(most, before - store.size);
    }
    expect(most).toBeLessThanOrEqual(2_048);
  });
});

describe('a full store', () => {
  test.each(algorithms)('never holds more than maxKeys of a %s, and counts what it forgot', (algorithm) => {
    const store = new MemoryStore({ maxKeys: 100, clock: new ManualClock() });
    const policy = policyOf(algorithm);
    for (let i = 0; i < 1_000; i++) {
      take(store, policy, `key ${i}`);
      expect(store.size).toBe(Math.min(i + 1, 100));
    }
    expect(store.evictions).toBe(900);
  });

  test('forgets keys that are fresh again first, and does not count them', () => {
    const clock = new ManualClock();
    const store = new MemoryStore({ maxKeys: 4, clock });
    const policy = policyOf('fixed-window');
    for (const key of ['a', 'b', 'c']) take(store, policy, key);
    // The clock jumps, so that no sweep has run.
    clock.jump(10_000);
    for (const key of ['d', 'e', 'f', 'g']) take(store, policy, key);
    expect(store.size).toBe(4);
    expect(store.evictions).toBe(0);
    for (const key of ['d', 'e', 'f', 'g']) expect(take(store, policy, key, 2).allowed).toBe(false);
  });

  test('still grants when every key it holds is refused', () => {
    const store = new MemoryStore({ maxKeys: 10, clock: new ManualClock() });
    const policy = policyOf('fixed-window');
    for (let i = 0; i < 10; i++) take(store, policy, `key ${i}`, 2);
    expect(take(store, policy, 'new', 2).allowed).toBe(true);
    expect(store.size).toBe(10);
    expect(store.evictions).toBe(1);
  });

  test('keeps a client refused while others rotate keys', () => {
    const store = new MemoryStore({ maxKeys: 50, clock: new ManualClock() });
    const policy = policyOf('sliding-window-counter');
    take(store, policy, 'abuser', 2);
    for (let i = 0; i < 10_000; i++) {
      take(store, policy, `rotated ${i}`);
      if (i % 100 === 0) expect(take(store, policy, 'abuser').allowed).toBe(false);
    }
    expect(take(store, policy, 'abuser').allowed).toBe(false);
  });

  test('does not take a key that asked for more than it can ever get for one that is refused', () => {
    const clock = new ManualClock();
    const store = new MemoryStore({ maxKeys: 2, clock });
    const policy = policyOf('sliding-window-log');
    take(store, policy, 'refused', 2);
    // Fresh again later than the other, so that nothing but the refusal speaks for the other.
    clock.advance(1_000);
    take(store, policy, 'open');
    take(store, policy, 'open', 1_000);
    take(store, policy, 'new');
    expect(take(store, policy, 'refused').allowed).toBe(false);
  });
});

describe('several stores', () => {
  test('share nothing', () => {
    const policy = policyOf('fixed-window');
    const [one, two] = [new MemoryStore(), new MemoryStore()];
    take(one, policy, 'alice', 2);
    expect(two.size).toBe(0);
    expect(take(two, policy, 'alice').allowed).toBe(true);
  });
});

describe('close', () => {
  test('forgets everything and stops the sweep', () => {
    const clock = new ManualClock();
    const store = new MemoryStore({ clock });
    for (let i = 0; i < 100; i++) take(store, policyOf('fixed-window'), `key ${i}`);
    store.close();
    expect(store.size).toBe(0);
    expect(clock.pending).toBe(0);
    store.close();
  });
});

describe('options that cannot work', () => {
  test.each([0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 31, '100', null])(
    'throw: maxKeys %s',
    (maxKeys) => {
      expect(() => new MemoryStore({ maxKeys } as MemoryStoreOptions)).toThrow(
        expect.objectContaining({ code: 'INVALID_OPTION', message: expect.stringContaining('maxKeys') }),
      );
    },
  );

  test('throw: a name that is no option, with the nearest that is', () => {
    expect(() => new MemoryStore({ maxkeys: 5 } as MemoryStoreOptions)).toThrow(
      expect.objectContaining({ code: 'UNKNOWN_OPTION', message: expect.stringContaining('"maxKeys"') }),
    );
  });

  test.each([null, Date, { now: Date.now }])('throw: a clock without its methods', (clock) => {
    expect(() => new MemoryStore({ clock } as unknown as MemoryStoreOptions)).toThrow(
      expect.objectContaining({ code: 'INVALID_OPTION' }),
    );
  });

  test.each([Number.NaN, 1.5, -1, Number.POSITIVE_INFINITY, 2 ** 53, '5', undefined])(
    'throw when used: a clock that returns %s',
    (time) => {
      const store = new MemoryStore({ clock: { now: () => time as number, after: () => () => {} } });
      const charge = { policy: policyOf('fixed-window'), key: 'alice', cost: 1 };
      for (const call of ['consume', 'peek', 'release'] as const) {
        expect(() => store[call]([charge])).toThrow(expect.objectContaining({ code: 'INVALID_CLOCK' }));
      }
      expect(store.size).toBe(0);
    },
  );
});

describe('a process', () => {
  const core = new URL('../../src/index.ts', import.meta.url).href;

  /** Runs a program in a Node of its own, and returns what it printed once it has ended. */
  function run(program: string): Promise<{ code: number | null; output: string }> {
    return new Promise((resolve, reject) => {
      const cwd = fileURLToPath(new URL('../../../../test', import.meta.url));
      const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', program], { cwd });
      let output = '';
      child.stdout.on('data', (text) => (output += text));
      child.stderr.on('data', (text) => (output += text));
      child.on('error', reject);
      child.on('close', (code) => resolve({ code, output }));
    });
  }

  test('ends by itself while its store holds keys', async () => {
    const { code, output } = await run(`
      import { createLimiter } from ${JSON.stringify(core)};
      const limiter = createLimiter({ policies: '5/1h' });
      for (let i = 0; i < 10; i++) limiter.consumeSync('key ' + i);
      console.log('last line');
    `);
    expect(output).toBe('last line\n');
    expect(code).toBe(0);
  });

  test('stays while somebody waits for units, and ends afterwards', async () => {
    const { code, output } = await run(`
      import { createLimiter } from ${JSON.stringify(core)};
      const limiter = createLimiter({ policies: { limit: 1, window: 50, algorithm: 'token-bucket' } });
      await limiter.acquire('alice');
      await limiter.acquire('alice');
      console.log('granted twice');
    `);
    expect(output).toBe('granted twice\n');
    expect(code).toBe(0);
  });
});
