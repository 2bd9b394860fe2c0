import { RedisServer } from './server.js';
import { until } from './until.js';

export interface RedisSentinelsOptions {
  /** More of the command line of the master and its replicas. */
  readonly args?: readonly string[];
  /** @default 2 */
  readonly replicas?: 1 | 2;
}

/**
 * RedisSentinels are three sentinels that watch over a master and its replicas, on the loopback. They notice after half
 * a second that the master is gone, and have another within a few more.
 */
export class RedisSentinels {
  /** What the sentinels call the master. */
  readonly name = 'mymaster';
  /** The master and the replicas, whatever their roles are at the moment; at first the master is the first. */
  readonly servers: readonly RedisServer[];
  readonly sentinels: readonly RedisServer[];

  private constructor(servers: readonly RedisServer[], sentinels: readonly RedisServer[]) {
    this.servers = servers;
    this.sentinels = sentinels;
  }

  /** Starts servers and sentinels and resolves when all sentinels know all of them. */
  static async start({ args = [], replicas = 2 }: RedisSentinelsOptions = {}): Promise<RedisSentinels> {
    const servers: RedisServer[] = [];
    const sentinels: RedisServer[] = [];
    const set = new RedisSentinels(servers, sentinels);
    try {
      const own = ['--repl-diskless-sync-delay', '0', ...args];
      const master = await RedisServer.start({ args: own });
      servers.push(master);
      for (let replica = 1; replica <= replicas; replica++) {
        servers.push(await RedisServer.start({ args: [...own, '--replicaof', '127.0.0.1', String(master.port)] }));
      }
      await until('the replicas are linked', () => set.#areLinked());
      const config = [
        `sentinel monitor ${set.name} 127.0.0.1 ${master.port} 2`,
        `sentinel down-after-milliseconds ${set.name} 500`,
        `sentinel failover-timeout ${set.name} 2000`,
        `sentinel parallel-syncs ${set.name} 2`,
      ];
      for (let sentinel = 1; sentinel <= 3; sentinel++) {
        sentinels.push(await RedisServer.start({ config: `${config.join('\n')}\n`, args: ['--sentinel'] }));
      }
      await until('the sentinels know each other and the replicas', () => set.#areComplete());
      return set;
    } catch (error) {
      await set.stop();
      throw error;
    }
  }

  get sentinelPorts(): readonly number[] {
    return this.sentinels.map(({ port }) => port);
  }

  /** The server that the first running sentinel calls the master. It may be down and not yet replaced. */
  async master(): Promise<RedisServer> {
    const sentinel = this.#running(this.sentinels)[0];
    if (sentinel === undefined) throw new Error('No sentinel runs that could say who the master is');
    return this.#masterSaysOf(sentinel);
  }

  /**
   * Waits until all running sentinels call another server the master than `old`, and that server calls itself one.
   * Resolves to it.
   */
  masterChanged(old: RedisServer): Promise<RedisServer> {
    return until('the sentinels have a new master', async () => {
      const sentinels = this.#running(this.sentinels);
      const [master, ...others] = await Promise.all(sentinels.map((sentinel) => this.#masterSaysOf(sentinel)));
      if (master === undefined || master === old || others.some((other) => other !== master)) return undefined;
      return (await roleOf(master))[0] === 'master' && master;
    });
  }

  /** Ends servers and sentinels. May be called again. */
  async stop(): Promise<void> {
    await Promise.all([...this.sentinels, ...this.servers].map((server) => server.stop()));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #masterSaysOf(sentinel: RedisServer): Promise<RedisServer> {
    const [, port] = (await sentinel.cli('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', this.name)).split('\n');
    const master = this.servers.find((server) => server.port === Number(port));
    if (master === undefined) throw new Error(`A sentinel names port ${port}, which is none of the servers`);
    return master;
  }

  async #areLinked(): Promise<boolean> {
    const [, ...replicas] = this.servers;
    const roles = await Promise.all(replicas.map(roleOf));
    return roles.every(([role, , , link]) => role === 'slave' && link === 'connected');
  }

  /** Sentinels must also have a connection to each replica that works: without, they do not choose it. */
  async #areComplete(): Promise<boolean> {
    for (const sentinel of this.sentinels) {
      const status = pairs(await sentinel.cli('SENTINEL', 'MASTER', this.name));
      if (status.get('flags') !== 'master') return false;
      if (status.get('num-other-sentinels') !== String(this.sentinels.length - 1)) return false;
      if (status.get('num-slaves') !== String(this.servers.length - 1)) return false;
      const replicas = (await sentinel.cli('SENTINEL', 'REPLICAS', this.name)).split('\n');
      const flags = replicas.filter((_, line) => replicas[line - 1] === 'flags');
      if (flags.length !== this.servers.length - 1 || flags.some((flag) => flag !== 'slave')) return false;
    }
    return true;
  }

  #running(servers: readonly RedisServer[]): readonly RedisServer[] {
    return servers.filter((server) => server.isRunning && !server.isPaused);
  }
}

async function roleOf(server: RedisServer): Promise<readonly string[]> {
  return (await server.cli('ROLE')).split('\n');
}

/** A reply that lists names and values in turn, as `redis-cli` prints it. */
function pairs(reply: string): ReadonlyMap<string, string> {
  const lines = reply.split('\n');
  const map = new Map<string, string>();
  for (let line = 0; line + 1 < lines.length; line += 2) map.set(lines[line]!, lines[line + 1]!);
  return map;
}
