import { type CircuitChange, createLimiter } from '@sluice/core';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FaultProxy } from '../../../test/support/redis/fault-proxy.ts';
import { RedisServer } from '../../../test/support/redis/server.ts';
import { RedisStore } from '../src/index.ts';

let server: RedisServer;
let proxy: FaultProxy;
beforeAll(async () => {
  server = await RedisServer.start();
  proxy = await FaultProxy.to(server.port);
});
afterAll(async () => {
  await proxy.close();
  await server.stop();
});

/** A process of a fleet, as far as Redis can tell. */
class Member {
  readonly redis: Redis;
  readonly changes: (Pick<CircuitChange, 'from' | 'to'> & { readonly at: number })[] = [];
  /** Calls that were sent and not answered. */
  unanswered = 0;
  mostUnanswered = 0;
  readonly #store: RedisStore;
  readonly #limiter;

  constructor(port: number) {
    this.redis = new Redis(port, { retryStrategy: () => 20 });
    this.redis.on('error', () => {});
    const send = this.redis.evalsha.bind(this.redis) as (...args: string[]) => Promise<unknown>;
    this.redis.evalsha = ((...args: string[]) => {
      this.mostUnanswered = Math.max(this.mostUnanswered, ++this.unanswered);
      const reply = send(...args);
      const answered = () => {
        this.unanswered--;
      };
      reply.then(answered, answered);
      return reply;
    }) as Redis['evalsha'];
    this.#store = new RedisStore(this.redis, {
      instances: 10,
      logger: { warn() {} },
      onStateChange: ({ from, to }) => this.changes.push({ from, to, at: performance.now() }),
    });
    this.#limiter = createLimiter({ policies: '1000000/1h', store: this.#store });
  }

  ask() {
    return this.#limiter.consume('key');
  }

  async close(): Promise<void> {
    await this.#store.close();
    this.redis.disconnect();
  }
}

describe('ten stores whose Redis hangs', () => {
  it('probe it one call at a time, each at moments of its own, while no request waits for one, and come back', async () => {
    const fleet = Array.from({ length: 10 }, () => new Member(proxy.port));
    try {
      for (const member of fleet) await expect.poll(async () => (await member.ask()).source).toBe('store');
      proxy.hang();
      // All at the same time, so that nothing but chance tells their probes apart.
      await Promise.all(fleet.flatMap((member) => Array.from({ length: 5 }, () => member.ask())));
      for (const member of fleet) member.mostUnanswered = member.unanswered;
      const isProbed = (member: Member) => member.changes.filter(({ to }) => to === 'half-open').length >= 1;
      await expect.poll(() => fleet.every(isProbed), { timeout: 5_000 }).toBe(true);
      // The circuits opened together; the first probes are spread over the second half of the pause.
      const probes = fleet.map(({ changes }) => changes.find(({ to }) => to === 'half-open')!.at);
      const openings = fleet.map(({ changes }) => changes.find(({ to }) => to === 'open')!.at);
      const pauses = probes.map((at, i) => at - openings[i]!);
      expect(new Set(pauses.map((ms) => Math.round(ms))).size).toBeGreaterThan(3);
      for (const ms of pauses) expect(ms).toBeGreaterThanOrEqual(49);
      for (const member of fleet) expect(member.mostUnanswered - 5).toBeLessThanOrEqual(1);
      // A probe is under way, and requests are answered without so much as a turn of the event loop.
      for (const member of fleet) {
        let turned = false;
        setImmediate(() => {
          turned = true;
        });
        expect((await member.ask()).source).toBe('fallback');
        expect(turned).toBe(false);
        expect(member.unanswered).toBeLessThanOrEqual(6);
      }
      proxy.pass();
      for (const member of fleet) {
        await expect.poll(async () => (await member.ask()).source, { timeout: 5_000 }).toBe('store');
        expect(member.changes.at(-1)).toMatchObject({ from: 'half-open', to: 'closed' });
      }
    } finally {
      for (const member of fleet) await member.close();
    }
  });
});
