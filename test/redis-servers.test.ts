import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { root } from './support/documents.js';
import { RedisCluster } from './support/redis/cluster.js';
import { FaultProxy } from './support/redis/fault-proxy.js';
import { RedisSentinels } from './support/redis/sentinel.js';
import { RedisServer } from './support/redis/server.js';
import { until } from './support/redis/until.js';

/** A Wire is a bare connection: what a client library would make of the replies is none of its business. */
class Wire {
  received = '';
  /** How the connection ended: `undefined` while it has not, `''` in good order, or the code of an error. */
  end: string | undefined;
  readonly #socket: Socket;

  constructor(port: number) {
    this.#socket = connect(port, '127.0.0.1');
    this.#socket.setEncoding('latin1').on('data', (text: string) => {
      this.received += text;
    });
    let code = '';
    this.#socket.on('error', (error: NodeJS.ErrnoException) => {
      code = error.code ?? error.message;
    });
    this.#socket.on('close', () => {
      this.end = code;
    });
  }

  send(...commands: readonly string[]): void {
    this.#socket.write(commands.map((command) => `${command}\r\n`).join(''));
  }

  /** Reads nothing more. */
  pause(): void {
    this.#socket.pause();
  }

  async receives(text: string): Promise<void> {
    await until(`the client has received ${JSON.stringify(text)}`, async () => this.received === text);
  }

  async ends(): Promise<string> {
    await until('the connection has ended', async () => this.end !== undefined);
    return this.end!;
  }

  close(): void {
    this.#socket.destroy();
  }
}

async function refuses(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    return false;
  } catch {
    return true;
  } finally {
    socket.destroy();
  }
}

describe('a Redis server of the tests', () => {
  it('answers when it has started, and is gone with its folder when it has stopped', async () => {
    const server = await RedisServer.start({ args: ['--maxmemory', '3mb'] });
    try {
      expect(await server.cli('SET', 'key', 'a value')).toBe('OK');
      expect(await server.cli('GET', 'key')).toBe('a value');
      expect(await server.cli('CONFIG', 'GET', 'maxmemory')).toBe('maxmemory\n3145728');
      await expect(server.cli('INCR', 'key')).rejects.toThrow('ERR value is not an integer');
    } finally {
      const [, folder] = (await server.cli('CONFIG', 'GET', 'dir')).split('\n');
      expect(existsSync(folder!)).toBe(true);
      await server.stop();
      await server.stop();
      expect(existsSync(folder!)).toBe(false);
    }
    expect(await refuses(server.port)).toBe(true);
    await expect(server.cli('PING')).rejects.toThrow('not running');
  });

  it('hangs while it is paused, and then answers what it was sent', async () => {
    await using server = await RedisServer.start();
    const wire = new Wire(server.port);
    await server.pause();
    wire.send('INCR key');
    await expect(server.cli('PING')).rejects.toThrow('paused');
    expect(wire.received).toBe('');
    server.resume();
    await wire.receives(':1\r\n');
    wire.close();
  });

  it('can be stopped while it is paused', async () => {
    const server = await RedisServer.start();
    await server.pause();
    await server.stop();
    expect(await refuses(server.port)).toBe(true);
  });

  it('comes back on its port after a kill, as another process that remembers nothing', async () => {
    await using server = await RedisServer.start();
    const { pid } = server;
    await server.cli('SET', 'key', '1');
    await server.kill();
    expect(server.pid).toBeUndefined();
    await server.restart(['--maxmemory', '2mb']);
    expect(server.pid).not.toBe(pid);
    expect(await server.cli('EXISTS', 'key')).toBe('0');
    expect(await server.cli('CONFIG', 'GET', 'maxmemory')).toBe('maxmemory\n2097152');
  });

  it('says why it does not start', async () => {
    await expect(RedisServer.start({ args: ['--maxmemory', 'much'] })).rejects.toThrow(
      'argument must be a memory value',
    );
    await using server = await RedisServer.start();
    await expect(RedisServer.start({ port: server.port })).rejects.toThrow('Address already in use');
  });

  it('does not outlive the process that started it, even if that is killed', async () => {
    const program = `
      const { RedisServer } = await import('./support/redis/server.ts');
      const server = await RedisServer.start();
      const paused = await RedisServer.start();
      await paused.pause();
      const [, folder] = (await server.cli('CONFIG', 'GET', 'dir')).split('\\n');
      console.log(JSON.stringify({ ports: [server.port, paused.port], folder }));`;
    const args = ['--import', 'tsx', '--input-type=module', '--eval', program];
    const child = spawn(process.execPath, args, { cwd: join(root, 'test'), stdio: ['ignore', 'pipe', 'inherit'] });
    const [line] = (await once(child.stdout.setEncoding('utf8'), 'data')) as [string];
    const { ports, folder } = JSON.parse(line) as { ports: number[]; folder: string };
    expect(await refuses(ports[0]!)).toBe(false);
    child.kill('SIGKILL');
    for (const port of ports) await until(`nobody listens on port ${port}`, () => refuses(port));
    await until('the folder is gone', async () => !existsSync(folder));
  });
});

describe('a Redis cluster of the tests', () => {
  it('serves all slots by three masters, moves a slot with its keys, and replaces a master that was killed', async () => {
    await using cluster = await RedisCluster.start();
    const masters = await cluster.masters();
    expect(masters).toHaveLength(3);
    for (const master of masters) expect(await cluster.replicasOf(master)).toHaveLength(1);

    const slot = await cluster.slotOf('{user}');
    const from = await cluster.masterOf(slot);
    const to = masters.find((master) => master !== from)!;
    expect(await from.cli('CLUSTER', 'COUNTKEYSINSLOT', String(slot))).toBe('0');
    for (let key = 0; key < 150; key++) await from.cli('SET', `{user}:${key}`, String(key));
    await cluster.moveSlot(slot, from, to, async () => {
      expect(await from.cli('GET', '{user}:149')).toBe('149');
      await expect(from.cli('GET', '{user}:150')).rejects.toThrow(`ASK ${slot} 127.0.0.1:${to.port}`);
      await expect(from.cli('MGET', '{user}:149', '{user}:150')).rejects.toThrow('TRYAGAIN');
    });
    expect(await cluster.masterOf('{user}')).toBe(to);
    expect(await to.cli('CLUSTER', 'COUNTKEYSINSLOT', String(slot))).toBe('150');
    expect(await to.cli('GET', '{user}:149')).toBe('149');
    await expect(from.cli('GET', '{user}:149')).rejects.toThrow(`MOVED ${slot} 127.0.0.1:${to.port}`);

    const [replica] = await cluster.replicasOf(to);
    await to.kill();
    await expect(cluster.masterOf(slot)).rejects.toThrow('No running node serves slot');
    await cluster.settled();
    expect(await cluster.masterOf(slot)).toBe(replica);
    expect(await replica!.cli('GET', '{user}:149')).toBe('149');

    await to.restart();
    expect(await cluster.masterOf(slot)).toBe(replica);
    await cluster.settled();
    expect(await cluster.masterOf(slot)).toBe(replica);
    expect(await cluster.replicasOf(replica!)).toEqual([to]);

    await cluster.stop();
    for (const port of cluster.ports) expect(await refuses(port)).toBe(true);
  });
});

describe('the Redis sentinels of the tests', () => {
  it('name the master, and another one after it was killed or replaced', async () => {
    await using sentinels = await RedisSentinels.start();
    const master = await sentinels.master();
    expect(master).toBe(sentinels.servers[0]);
    await master.cli('SET', 'key', '1');
    await until('the replicas have it', async () => (await master.cli('WAIT', '2', '1000')) === '2');
    await master.kill();
    const next = await sentinels.masterChanged(master);
    expect(next).not.toBe(master);
    expect(await sentinels.master()).toBe(next);
    expect(await next.cli('INCR', 'key')).toBe('2');

    await until('a sentinel replaces the master by command', async () => {
      return (await sentinels.sentinels[0]!.cli('SENTINEL', 'FAILOVER', sentinels.name)) === 'OK';
    });
    const last = await sentinels.masterChanged(next);
    expect(sentinels.servers.filter((server) => server !== master && server !== next)).toEqual([last]);
    await sentinels.stop();
    for (const { port } of [...sentinels.servers, ...sentinels.sentinels]) expect(await refuses(port)).toBe(true);
  });
});

describe('a fault proxy', () => {
  let server: RedisServer;
  let proxy: FaultProxy;
  const wires: Wire[] = [];

  beforeEach(async () => {
    server = await RedisServer.start();
    proxy = await FaultProxy.to(server.port);
  });

  afterEach(async () => {
    for (const wire of wires.splice(0)) wire.close();
    await proxy.close();
    await server.stop();
  });

  function open(): Wire {
    const wire = new Wire(proxy.port);
    wires.push(wire);
    return wire;
  }

  /** A connection over which a command has passed. */
  async function opened(): Promise<Wire> {
    const wire = open();
    wire.send('ECHO hello');
    await wire.receives('$5\r\nhello\r\n');
    wire.received = '';
    return wire;
  }

  it('passes commands and replies, and counts them', async () => {
    const wire = open();
    wire.send('*2\r\n$4\r\nINCR\r\n$3\r\nkey', 'INCR key', 'HELLO');
    await until('all has arrived', async () => proxy.replies === 3);
    expect(wire.received).toMatch(/^:1\r\n:2\r\n\*\d+\r\n/);
    expect(await server.cli('GET', 'key')).toBe('2');
    expect(proxy).toMatchObject({ connections: 1, open: 1, requests: 3, replies: 3 });
  });

  it('tells replies of the newer protocol apart, and pushes from replies', async () => {
    const wire = open();
    wire.send('HELLO 3', 'CLIENT TRACKING ON', 'GET key', 'SET key 1', 'CONFIG GET maxmemory', 'INCR key');
    await until('all has arrived', async () => /maxmemory\r\n\$1\r\n0\r\n:2\r\n/.test(wire.received));
    expect(wire.received).toContain('>2\r\n$10\r\ninvalidate');
    wire.received = '';
    proxy.cutAfterRequest('incr');
    wire.send('GET key', 'INCR key');
    expect(await wire.ends()).toBe('');
    expect(await server.cli('GET', 'key')).toBe('3');
    expect(wire.received.replace(/>2\r\n\$10\r\ninvalidate\r\n\*1\r\n\$3\r\nkey\r\n/, '')).toBe('$1\r\n2\r\n');
  });

  it('delivers late what it delays, in order, and at once when it passes again', async () => {
    const wire = await opened();
    proxy.delay(3_600_000);
    wire.send('INCR key', 'INCR key');
    await until('the server has counted', async () => (await server.cli('GET', 'key')) === '2');
    expect(wire.received).toBe('');
    proxy.pass();
    await wire.receives(':1\r\n:2\r\n');
    proxy.delay(5);
    wire.send('INCR key', 'INCR key');
    await wire.receives(':1\r\n:2\r\n:3\r\n:4\r\n');
  });

  it('hangs on old connections and new ones, and resets both when it passes again', async () => {
    const wire = await opened();
    proxy.hang();
    const late = open();
    wire.send('INCR key');
    late.send('INCR key');
    await until('both commands have arrived', async () => proxy.requests === 3);
    await server.cli('PING');
    expect([wire.received, wire.end, late.received, late.end]).toEqual(['', undefined, '', undefined]);
    proxy.pass();
    expect(await wire.ends()).toBe('ECONNRESET');
    expect(await late.ends()).toBe('ECONNRESET');
    expect(await server.cli('EXISTS', 'key')).toBe('0');
    const next = await opened();
    next.send('INCR key');
    await next.receives(':1\r\n');
  });

  it('hangs on the reply of a command that has reached the server already', async () => {
    const wire = await opened();
    await server.pause();
    wire.send('INCR key');
    await until('the command is on its way', async () => proxy.requests === 2);
    proxy.hang();
    server.resume();
    await until('the server has counted', async () => (await server.cli('GET', 'key')) === '1');
    proxy.pass();
    expect(await wire.ends()).toBe('ECONNRESET');
    expect(wire.received).toBe('');
  });

  it('swallows replies to commands that the server carries out', async () => {
    const wire = await opened();
    proxy.swallowReplies();
    wire.send('INCR key', 'INCR key');
    await until('the server has counted', async () => (await server.cli('GET', 'key')) === '2');
    expect([wire.received, wire.end]).toEqual(['', undefined]);
    proxy.pass();
    expect(await wire.ends()).toBe('ECONNRESET');
  });

  it('swallows so many replies and no more, and never gives a client the reply to another command', async () => {
    const [wire, other] = [await opened(), await opened()];
    proxy.swallowReplies(1);
    wire.send('INCR key');
    await until('the server has counted', async () => (await server.cli('GET', 'key')) === '1');
    other.send('INCR key');
    await other.receives(':2\r\n');
    expect(wire.end).toBeUndefined();
    wire.send('INCR key');
    expect(await wire.ends()).toBe('ECONNRESET');
    expect(wire.received).toBe('');
  });

  it('cuts open connections, and lets new ones in', async () => {
    const wire = await opened();
    proxy.cut();
    expect(proxy.open).toBe(0);
    expect(await wire.ends()).toBe('ECONNRESET');
    await opened();
    expect(proxy.open).toBe(1);
  });

  it('cuts and closes connections whose clients do not read', async () => {
    await server.cli('SETRANGE', 'key', '99999', 'x');
    const wire = open();
    wire.pause();
    wire.send(...Array.from({ length: 200 }, () => 'GET key'));
    await until('all replies are under way', async () => proxy.replies === 200);
    await proxy.close();
    expect(proxy.open).toBe(0);
  });

  it('cuts after a command was carried out: its reply is lost, earlier ones arrive, later commands do not', async () => {
    const wire = await opened();
    proxy.cutAfterRequest('INCR');
    wire.send('ECHO before', 'INCR key', 'SET key 100');
    expect(await wire.ends()).toBe('');
    expect(wire.received).toBe('$6\r\nbefore\r\n');
    expect(await server.cli('GET', 'key')).toBe('1');
    const next = await opened();
    next.send('INCR key');
    await next.receives(':2\r\n');
  });

  it('cuts after the next command whatever it is', async () => {
    const wire = await opened();
    proxy.cutAfterRequest();
    wire.send('INCR key');
    expect(await wire.ends()).toBe('');
    expect(wire.received).toBe('');
    expect(await server.cli('GET', 'key')).toBe('1');
  });

  it('cuts in the middle of a reply', async () => {
    const wire = await opened();
    proxy.cutMidReply();
    wire.send('ECHO 0123456789', 'ECHO next');
    expect(await wire.ends()).toBe('');
    expect(wire.received).toBe('$10\r\n0123');
    await opened();
  });

  it('refuses new connections while open ones go on', async () => {
    const wire = await opened();
    proxy.refuse();
    expect(await open().ends()).toBe('ECONNRESET');
    wire.send('INCR key');
    await wire.receives(':1\r\n');
    proxy.pass();
    await opened();
    expect(proxy.connections).toBe(3);
  });

  it('ends connections when the server is killed or restarted', async () => {
    const wire = await opened();
    await server.kill();
    await wire.ends();
    await expect(open().ends()).resolves.toBe('ECONNRESET');
    await server.restart();
    await opened();
  });
});
