import { createLimiter } from '@sluice/core';
import { type RedisClient, RedisStore, type RedisStoreOptions } from '@sluice/redis';
import { clientOf } from './fault-clients.js';
import { type Ask, type LoadMessage, type LoadOptions, type LoadReport, now, type Phase } from './fault-load.js';
import { StallMeter } from './fault-stall.js';

type Settled = Omit<Ask, 'stall'>;

/** A Load asks, and tells the test what it was answered. */
class Load {
  readonly #store: RedisStore;
  readonly #stalls = new StallMeter(() => this.#tick());
  readonly #changes: LoadReport['changes'][number][] = [];
  readonly #crashes: string[] = [];
  /** What has been decided since the last tick: only then is it known how long the process stood still. */
  #settled: Settled[] = [];
  #asks: Ask[] = [];
  #consume: ((key: string) => Promise<{ allowed: boolean; source: Ask['source']; at: number }>) | undefined;
  #phase: Phase | undefined;
  #turn = 0;
  #unsettled = 0;
  #mostUnsettled = 0;
  #given = 0;
  #reportedAt = 0;

  constructor(client: RedisClient, { instances = 1, onError = 'fallback' }: LoadOptions) {
    this.#count(client);
    this.#store = new RedisStore(client, {
      instances,
      onError,
      logger: { warn() {} },
      onStateChange: ({ circuit, from, to, error }) =>
        this.#changes.push({
          circuit,
          from,
          to,
          at: now(),
          error: error instanceof Error ? error.message : `${error}`,
        }),
    } as RedisStoreOptions);
    process.on('uncaughtException', (error, origin) => this.#crashes.push(`${origin}: ${error.stack}`));
  }

  begin(phase: Phase): void {
    const { algorithm, hot, hotLimit, limit } = phase;
    // Nothing comes back while a test runs: the buckets refill by less than a unit, and no window ends.
    const window = algorithm === 'fixed-window' ? { window: '1d', anchor: 'first' } : { window: '365d' };
    const limiterOf = (name: string, limit: number) =>
      createLimiter({
        store: this.#store,
        policies: { name, algorithm, limit, ...window } as Parameters<typeof createLimiter>[0]['policies'],
      });
    const [hotLimiter, limiter] = [limiterOf('hot', hotLimit), limiterOf('each', limit)];
    this.#consume = (key) => (key === hot ? hotLimiter : limiter).consume(key);
    this.#phase = phase;
  }

  #tick(): void {
    for (const settled of this.#settled) {
      const from = settled.at - performance.timeOrigin;
      this.#asks.push({ ...settled, stall: this.#stalls.between(from, from + settled.took) });
    }
    this.#settled = [];
    if (this.#phase !== undefined) this.#ask(this.#phase);
    if (performance.now() - this.#reportedAt > 25) this.#report();
  }

  #ask({ name, hot, keys }: Phase): void {
    const turn = this.#turn++;
    const key = turn % 2 === 0 ? hot : keys[(turn >> 1) % keys.length]!;
    const from = performance.now();
    const settle = (what: Pick<Ask, 'allowed' | 'source' | 'decidedAt' | 'error'>) => {
      const took = performance.now() - from;
      this.#settled.push({ phase: name, key, at: performance.timeOrigin + from, took, ...what });
    };
    this.#consume!(key).then(
      ({ allowed, source, at }) => settle({ allowed, source, decidedAt: at }),
      (error: Error) => settle({ allowed: false, source: 'error', decidedAt: 0, error: error.message }),
    );
  }

  #report(): void {
    this.#reportedAt = performance.now();
    const asks = this.#asks;
    this.#asks = [];
    const [changes, crashes] = [this.#changes.splice(0), this.#crashes.splice(0)];
    process.send!({ asks, changes, crashes, unsettled: this.#mostUnsettled, given: this.#given } satisfies LoadReport);
    this.#mostUnsettled = this.#unsettled;
    this.#given = 0;
  }

  /** Counts the commands that the client has been given and not settled. */
  #count(client: RedisClient): void {
    for (const name of ['evalsha', 'eval'] as const) {
      const send = client[name].bind(client);
      const settled = () => {
        this.#unsettled--;
      };
      client[name] = (...args) => {
        this.#given++;
        this.#mostUnsettled = Math.max(this.#mostUnsettled, ++this.#unsettled);
        const reply = send(...args);
        reply.then(settled, settled);
        return reply;
      };
    }
  }
}

let load: Load | undefined;
process.on('message', async (message: LoadMessage) => {
  if ('start' in message) {
    const client = clientOf(message.start);
    if (client.status !== 'ready') await new Promise<void>((resolve) => client.once!('ready', resolve));
    load = new Load(client, message.start);
  } else if ('phase' in message) load!.begin(message.phase);
  else process.exit(0);
});
process.on('disconnect', () => process.exit(1));
