import {
  type Charge,
  type CircuitState,
  type Clock,
  type CompiledPolicy,
  compilePolicies,
  type Decision,
  DenyCache,
  type Duration,
  GuardedStore,
  type LeaseRequest,
  Leases,
  type MaybePromise,
  Outage,
  type Refund,
  SluiceError,
  type Store,
  type StoreErrorMode,
  systemClock,
} from '@sluice/core';
import { parseDeadline, parseDuration } from '@sluice/core/toolkit';
import { checkClient, type RedisClient } from './client.js';
import { sendsAgain } from './client-settings.js';
import { connectionOf } from './connection.js';
import { denyCacheOptionsOf } from './deny-cache-options.js';
import { Inspection } from './inspection.js';
import { Journal } from './journal.js';
import { leaseShareOf, lossyWarning } from './lease-options.js';
import { checkInstances, checkOptions, type RedisStoreOptions } from './redis-store-options.js';
import { ScriptRunner } from './script-runner.js';
import { ScriptStore } from './script-store.js';
import { Scripts } from './scripts/scripts.js';
import { StoreKeys } from './store-keys.js';
import { ClusterTopology, oneServer } from './topology.js';

const scripts = new Scripts();

/** Looked at to find out whether Redis answers; a look takes nothing. */
const anyCharge = compilePolicies(['1/1s'], 'RedisStore').map((policy) => ({ policy, key: 'sluice', cost: 0 }));

/** Milliseconds between two such looks. */
const pause = 50;

/**
 * A RedisStore keeps state in Redis, so that all processes that share it grant every limit together, by the server's
 * clock: one script per decision, or one for many that are asked for at a time. Whatever Redis does, each decision is made
 * within the deadline, and its `source` says by whom.
 */
export class RedisStore implements Store {
  readonly #outage: Outage;
  readonly #guarded: GuardedStore;
  readonly #answering: Store;
  readonly #leases: Leases | undefined;
  readonly #denials: DenyCache | undefined;
  readonly #clock: Clock;
  readonly #instances: number | undefined;
  readonly #stopListening: () => void;
  readonly #keys: StoreKeys;
  readonly #inspection: Inspection;

  /** @throws SluiceError for options that cannot work, with the remedy. */
  constructor(client: RedisClient, options: RedisStoreOptions) {
    checkClient(client);
    checkOptions(options);
    const { prefix = 'ratelimit', deadline = '50ms', clock = systemClock } = options;
    const { onError = 'fallback', instances = 1, indivisible = 'deny' } = options;
    this.#clock = clock;
    this.#instances = options.instances;
    const keys = new StoreKeys(prefix);
    const journal = new Journal(options.logger, onError, instances);
    const connection = connectionOf(client);
    const topology = client.isCluster ? new ClusterTopology(client) : oneServer;
    const onReply = (server: string, sentAt: number) => this.#guarded.heard(server, sentAt);
    const runner = new ScriptRunner(client, connection, scripts, {
      clock,
      deadline: parseDeadline(deadline, 'RedisStore') * 1_000,
      sendsAgain: sendsAgain(client),
      onReply: client.isCluster ? onReply : undefined,
    });
    const store = new ScriptStore(runner, keys, topology);
    this.#guarded = new GuardedStore(store, {
      deadline,
      clock,
      connection,
      circuitOf: (key) => topology.serverOf(key),
      probe: (server) => store.probe(server),
      onChange: (change) => {
        // Whatever kept it from answering, it may have started anew meanwhile.
        if (change.to === 'closed') this.#outage.suspect();
        journal.changed(change);
        return options.onStateChange?.(change);
      },
    });
    this.#outage = new Outage(this.#guarded, {
      clock,
      instances,
      indivisible,
      report: (error, failures) => journal.failed(error, failures),
    });
    const share = leaseShareOf(options.leases, options.instances);
    if (share !== undefined) {
      const lessor = { lease: (request: LeaseRequest) => this.#outage.lease(request) };
      this.#leases = new Leases(this.#guarded, { lessor, instances, share, clock, deadline });
    }
    const answering = this.#leasing(onError);
    const warn = (message: string) => journal.warn(message);
    const denyCache = denyCacheOptionsOf(options.denyCache, client, prefix, clock, warn);
    this.#denials = denyCache === undefined ? undefined : new DenyCache(answering, denyCache);
    this.#answering = this.#denials ?? answering;
    this.#inspection = new Inspection(client, connection, warn, share === undefined ? undefined : lossyWarning(share));
    this.#keys = keys;
    this.#stopListening = connection.onReconnect(() => {
      // A cluster tells of any of its servers: what is sent to the others must not fail with it.
      if (!client.isCluster) store.abandon();
      this.#inspection.renew();
      this.#outage.suspect();
    });
  }

  /** Whether each server is asked: one called `'redis'`, or the servers of a cluster by their addresses. */
  get states(): ReadonlyMap<string, CircuitState> {
    return this.#guarded.states;
  }

  /**
   * Resolves when Redis answers: for a process that takes requests only then. Nobody needs to wait for it. By default for 10 s.
   * @throws SluiceError `STORE_UNAVAILABLE` where that takes longer than `patience`; the last failure is the `cause`.
   * `CLOSED` once the store is closed.
   */
  async ready(patience: Duration = '10s'): Promise<void> {
    const until = this.#clock.now() + parseDuration(patience, "RedisStore.ready: 'patience'") * 1_000;
    for (;;) {
      try {
        await this.#guarded.peek(anyCharge);
        return;
      } catch (cause) {
        if (cause instanceof SluiceError && cause.code === 'CLOSED') throw cause;
        if (this.#clock.now() >= until) {
          const text = `RedisStore: Redis has not answered within ${patience}. Look at its address, and whether it runs.`;
          throw new SluiceError('STORE_UNAVAILABLE', text, { cause });
        }
        await new Promise<void>((resolve) => this.#clock.after(pause, resolve));
      }
    }
  }

  consume(charges: readonly Charge[]): MaybePromise<readonly Decision[]> {
    if (this.#inspection.isDue) this.#inspect(charges);
    return this.#answering.consume(charges);
  }

  peek(charges: readonly Charge[]): MaybePromise<readonly Decision[]> {
    if (this.#inspection.isDue) this.#inspect(charges);
    return this.#answering.peek(charges);
  }

  release(refunds: readonly Refund[]): MaybePromise<void> {
    return this.#answering.release(refunds);
  }

  takeBack(refunds: readonly Refund[]): MaybePromise<void> {
    return this.#answering.takeBack!(refunds);
  }

  /** Fails where Redis does: who asks for a reset must know whether it was done. */
  reset(key: string, policies: readonly CompiledPolicy[]): MaybePromise<void> {
    return this.#answering.reset(key, policies);
  }

  /**
   * The same store, for a limiter that says itself what follows when Redis fails.
   * @throws SluiceError `INVALID_OPTION` for `'fallback'` where nothing says by how many to divide the limits.
   */
  answering(mode: StoreErrorMode): Store {
    if (mode === 'fallback') checkInstances(this.#instances);
    const store = this.#leasing(mode);
    return this.#denials === undefined ? store : new DenyCache(store, this.#denials);
  }

  /** Stops probing. The client stays open: it is its user's to close. */
  async close(): Promise<void> {
    this.#stopListening();
    await this.#answering.close?.();
  }

  /** What leases cannot answer is asked of Redis, or answered so where Redis fails. */
  #leasing(mode: StoreErrorMode): Store {
    const store = this.#outage.answering(mode);
    return this.#leases?.over(store, (charges, error) => this.#outage.instead(charges, error, mode)) ?? store;
  }

  #inspect([charge]: readonly Charge[]): void {
    if (charge !== undefined) this.#inspection.begin(this.#keys.probe(charge.key));
  }
}
