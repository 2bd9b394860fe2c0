import { succeed } from '../run.js';
import { systemCommand } from '../system-command.js';
import { RedisServer } from './server.js';
import { until } from './until.js';

const slots = 16_384;

/** What a node says of itself. */
interface Member {
  readonly node: RedisServer;
  readonly id: string;
  readonly isMaster: boolean;
  /** Of two masters that claim a slot, the one with the higher epoch has it. */
  readonly epoch: number;
  readonly ranges: readonly (readonly [from: number, to: number])[];
}

export interface RedisClusterOptions {
  /** More of each node's command line. */
  readonly args?: readonly string[];
}

/**
 * A RedisCluster is three masters with a replica each, on the loopback. A master that is gone is noticed after a second,
 * and its replica takes its place within a few more.
 */
export class RedisCluster {
  /** All six, whatever their roles are at the moment. */
  readonly nodes: readonly RedisServer[];

  private constructor(nodes: readonly RedisServer[]) {
    this.nodes = nodes;
  }

  /** Starts a cluster and resolves when all nodes agree that it is complete. */
  static async start({ args = [] }: RedisClusterOptions = {}): Promise<RedisCluster> {
    const own = ['--cluster-enabled', 'yes', '--cluster-node-timeout', '1000', '--repl-diskless-sync-delay', '0'];
    const failover = ['--cluster-require-full-coverage', 'no', '--cluster-replica-validity-factor', '0'];
    const nodes: RedisServer[] = [];
    const cluster = new RedisCluster(nodes);
    try {
      const starts = Array.from({ length: 6 }, async () => {
        nodes.push(await RedisServer.start({ args: [...own, ...failover, ...args] }));
      });
      const failed = (await Promise.allSettled(starts)).find((start) => start.status === 'rejected');
      if (failed) throw failed.reason;
      const cli = await systemCommand('redis-cli', { apt: 'redis-tools', brew: 'redis' });
      const addresses = nodes.map(({ port }) => `127.0.0.1:${port}`);
      await succeed(cli, ['--cluster', 'create', ...addresses, '--cluster-replicas', '1', '--cluster-yes']);
      await cluster.settled();
      return cluster;
    } catch (error) {
      await cluster.stop();
      throw error;
    }
  }

  get ports(): readonly number[] {
    return this.nodes.map(({ port }) => port);
  }

  get urls(): readonly string[] {
    return this.nodes.map(({ url }) => url);
  }

  /** The running nodes that serve slots at the moment. */
  async masters(): Promise<readonly RedisServer[]> {
    const owners = ownersOf(await this.#members());
    return [...new Set(owners.filter((owner) => owner !== undefined).map(({ node }) => node))];
  }

  /** The running node that serves a slot, or a key's slot, at the moment. Rejects while there is none. */
  async masterOf(slotOrKey: number | string): Promise<RedisServer> {
    const slot = await this.slotOf(slotOrKey);
    const owner = ownersOf(await this.#members())[slot];
    if (owner === undefined) throw new Error(`No running node serves slot ${slot}`);
    return owner.node;
  }

  /** The running replicas of a master. */
  async replicasOf(master: RedisServer): Promise<readonly RedisServer[]> {
    const is: RedisServer[] = [];
    for (const node of this.#running()) {
      const [role, , port] = (await node.cli('ROLE')).split('\n');
      if (role === 'slave' && Number(port) === master.port) is.push(node);
    }
    return is;
  }

  /** The slot of a key; a number is a slot already. */
  async slotOf(slotOrKey: number | string): Promise<number> {
    if (typeof slotOrKey === 'number') return slotOrKey;
    return Number(await this.#running()[0]!.cli('CLUSTER', 'KEYSLOT', slotOrKey));
  }

  /**
   * Moves a slot with all its keys from one master to another, and resolves when all nodes know. `during` runs while
   * the slot is migrating and its keys are where they were: keys that do not exist are answered with ASK then, and
   * commands on several keys of which some exist with TRYAGAIN.
   */
  async moveSlot(slot: number, from: RedisServer, to: RedisServer, during?: () => Promise<void>): Promise<void> {
    const [fromId, toId] = [await from.cli('CLUSTER', 'MYID'), await to.cli('CLUSTER', 'MYID')];
    const name = String(slot);
    await to.cli('CLUSTER', 'SETSLOT', name, 'IMPORTING', fromId);
    await from.cli('CLUSTER', 'SETSLOT', name, 'MIGRATING', toId);
    await during?.();
    for (;;) {
      const keys = (await from.cli('CLUSTER', 'GETKEYSINSLOT', name, '100')).split('\n').filter((key) => key !== '');
      if (keys.length === 0) break;
      await from.cli('MIGRATE', '127.0.0.1', String(to.port), '', '0', '5000', 'KEYS', ...keys);
    }
    // The new owner first: were the old one first, there would be a moment in which both send the client to the other.
    for (const node of new Set([to, from, ...(await this.masters())])) {
      await node.cli('CLUSTER', 'SETSLOT', name, 'NODE', toId);
    }
    await this.settled();
  }

  /**
   * Resolves when the running nodes agree on who serves which slot, all slots are served by one of them, and every
   * replica is linked to its master: after a start, a failover, or the restart of a node.
   */
  async settled(): Promise<void> {
    await until('the nodes of the cluster agree', async () => {
      const running = this.#running();
      if (ownersOf(await this.#members()).includes(undefined)) return false;
      const views = new Set<string>();
      for (const node of running) {
        if (!(await node.cli('CLUSTER', 'INFO')).includes('cluster_state:ok')) return false;
        const lines = (await node.cli('CLUSTER', 'NODES')).split('\n').map((line) => line.split(' '));
        views.add(
          lines
            .map(([id, , , , , , , ...ranges]) => `${id} ${ranges.filter(isRange)}`)
            .sort()
            .join('\n'),
        );
        const [role, , , link] = (await node.cli('ROLE')).split('\n');
        if (role === 'slave' && link !== 'connected') return false;
      }
      return views.size === 1;
    });
  }

  /** Ends all nodes. May be called again. */
  async stop(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.stop()));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  #running(): readonly RedisServer[] {
    return this.nodes.filter((node) => node.isRunning && !node.isPaused);
  }

  #members(): Promise<readonly Member[]> {
    return Promise.all(
      this.#running().map(async (node) => {
        const lines = (await node.cli('CLUSTER', 'NODES')).split('\n').map((line) => line.split(' '));
        const [id, , flags, , , , epoch, , ...rest] = lines.find(([, , all]) => all!.includes('myself'))!;
        const isMaster = flags!.includes('master');
        return { node, id: id!, isMaster, epoch: Number(epoch), ranges: rest.filter(isRange).map(toRange) };
      }),
    );
  }
}

/** Slots on the move stand in brackets beside the ranges. */
function isRange(text: string): boolean {
  return /^\d+(-\d+)?$/.test(text);
}

function toRange(text: string): readonly [from: number, to: number] {
  const [from, to = from] = text.split('-').map(Number);
  return [from!, to!];
}

/** Who serves each slot. A node that was replaced while it was down may still claim its slots for a moment. */
function ownersOf(members: readonly Member[]): readonly (Member | undefined)[] {
  const owners = new Array<Member | undefined>(slots).fill(undefined);
  for (const member of members) {
    if (!member.isMaster) continue;
    for (const [from, to] of member.ranges) {
      for (let slot = from; slot <= to; slot++) {
        if ((owners[slot]?.epoch ?? -1) < member.epoch) owners[slot] = member;
      }
    }
  }
  return owners;
}
