import type { RedisClient } from './client.js';
import { clientWarning } from './client-settings.js';
import type { Connection } from './connection.js';
import { inspect } from './scripts/inspect.js';

/**
 * An Inspection looks once, at the first use of a store, how its client and its server are set, and tells what will do
 * harm some day.
 */
export class Inspection {
  readonly #client: RedisClient;
  readonly #connection: Connection;
  readonly #warn: (message: string) => void;
  /** What is told where servers have replicas. */
  readonly #whenReplicated: string | undefined;
  #isClientKnown = false;
  #server: 'unknown' | 'asked' | 'known' = 'unknown';

  constructor(client: RedisClient, connection: Connection, warn: (message: string) => void, whenReplicated?: string) {
    this.#client = client;
    this.#connection = connection;
    this.#warn = warn;
    this.#whenReplicated = whenReplicated;
  }

  get isDue(): boolean {
    return this.#server === 'unknown';
  }

  /** Looks at the client and, in the background, at the server that keeps `key`. */
  begin(key: string): void {
    this.#server = 'asked';
    const warning = this.#isClientKnown ? undefined : clientWarning(this.#client);
    if (warning !== undefined) this.#warn(warning);
    const isReplicated = expectsReplicas(this.#client);
    if (isReplicated && !this.#isClientKnown) this.#tellOfReplicas();
    this.#isClientKnown = true;
    const tell = ({ warnings, hasReplicas }: ServerSettings) => {
      this.#server = 'known';
      for (const warning of warnings) this.#warn(warning);
      if (hasReplicas && !isReplicated) this.#tellOfReplicas();
    };
    // What the server does not tell now it is asked again on the next connection.
    settingsOf(this.#client, this.#connection, key).then(tell, () => {});
  }

  /** There is another connection: a server that did not answer is asked with the next use. */
  renew(): void {
    if (this.#server === 'asked') this.#server = 'unknown';
  }

  #tellOfReplicas(): void {
    if (this.#whenReplicated !== undefined) this.#warn(this.#whenReplicated);
  }
}

interface ServerSettings {
  readonly warnings: readonly string[];
  readonly hasReplicas: boolean;
}

/** Whether a client follows its servers to their replicas. */
function expectsReplicas({ isCluster, options }: RedisClient): boolean {
  const { sentinels } = (options ?? {}) as { sentinels?: unknown };
  return isCluster === true || (Array.isArray(sentinels) && sentinels.length > 0);
}

/** Asks the server that keeps `key` how it is set, and what is wrong with that; what it does not tell is right. */
async function settingsOf(client: RedisClient, connection: Connection, key: string): Promise<ServerSettings> {
  if (!connection.isReady) await connection.untilReady();
  const told = await client.eval(inspect, 1, key);
  const [policy, limit, role, replicas] = (Array.isArray(told) ? told : []).map(String);
  const warnings: string[] = [];
  if (policy !== undefined && policy !== '' && policy !== 'noeviction' && limit !== '0') {
    warnings.push(
      `RedisStore: the server may evict the counts of limits when its memory is full (maxmemory-policy ${policy}), and ` +
        'whoever is forgotten starts anew. Set maxmemory-policy to noeviction; a full server is then a store that fails, as onError says.',
    );
  }
  if (role === 'slave') {
    warnings.push(
      'RedisStore: the server is a replica, and takes no writes. Connect to the master, or let sentinels name it.',
    );
  }
  return { warnings, hasReplicas: Number(replicas) > 0 };
}
