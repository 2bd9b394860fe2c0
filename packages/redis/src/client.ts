import { SluiceError } from '@sluice/core';
import { show } from '@sluice/core/toolkit';

/**
 * A RedisClient is the slice of a client that a RedisStore uses. An ioredis `Redis` (also one that asks sentinels) or
 * `Cluster` is one; for node-redis there is `fromNodeRedis`. The client stays its user's: a store neither configures nor
 * closes it.
 */
export interface RedisClient {
  evalsha(sha: string, numberOfKeys: number, ...keysAndArguments: string[]): PromiseLike<unknown>;
  eval(script: string, numberOfKeys: number, ...keysAndArguments: string[]): PromiseLike<unknown>;
  /** Commands are sent only while it is `'ready'`. A client without one is taken to be ready always. */
  readonly status?: string;
  /** Starts a client that waits for its first command. */
  connect?(): PromiseLike<unknown>;
  once?(event: 'ready', listener: () => void): unknown;
  on?(event: 'ready' | '+node', listener: (node?: { options?: { readOnly?: boolean } }) => void): unknown;
  /** Whether keys are spread over several servers, so that one script cannot reach them all. */
  readonly isCluster?: boolean;
  /** The servers of each slot of a cluster, the master first. Servers that are known by name fail by themselves. */
  readonly slots?: readonly (readonly string[])[];
  /** Names the master of a slot, of a client that keeps its slots otherwise. */
  masterOf?(slot: number): string | undefined;
  readonly options?: object;
  /** Whether commands that were not answered are sent again on another connection, where its options do not say. */
  readonly sendsAgain?: boolean;
  /** The last error that the client told of, where it is known. */
  readonly lastError?: unknown;
}

/** @throws SluiceError `INVALID_OPTION` for what runs no scripts. */
export function checkClient(client: RedisClient): void {
  const { evalsha, eval: run, isPipeline } = (client ?? {}) as Partial<RedisClient> & { isPipeline?: unknown };
  if (isPipeline === true) {
    throw new SluiceError(
      'INVALID_OPTION',
      'RedisStore: this is a pipeline() or multi() of ioredis, which sends nothing before its exec(). Give the client itself.',
    );
  }
  if (typeof evalsha === 'function' && typeof run === 'function') return;
  if (typeof (client as { evalSha?: unknown } | null)?.evalSha === 'function') {
    throw new SluiceError(
      'INVALID_OPTION',
      'RedisStore: this looks like a client of node-redis. Wrap it: new RedisStore(fromNodeRedis(client), …).',
    );
  }
  if (typeof (client as { sendCommand?: unknown } | null)?.sendCommand === 'function') {
    throw new SluiceError(
      'INVALID_OPTION',
      'RedisStore: these look like options of rate-limit-redis. Give it the client itself, and then options of its own: ' +
        'new RedisStore(redis, { instances: 4 }).',
    );
  }
  throw new SluiceError(
    'INVALID_OPTION',
    `RedisStore needs a client of ioredis, like new RedisStore(new Redis(), { instances: 1 }); got ${show(client)}.`,
  );
}
