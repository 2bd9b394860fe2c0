import { mkdir, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, it } from 'vitest';
import { RedisServer } from '../support/redis/server.js';
import { until } from '../support/redis/until.js';
import { FaultLoad } from './support/fault-load.js';
import { type Fault, survives } from './support/fault-trial.js';

let server: RedisServer;
let loads: readonly FaultLoad[] = [];
/** Where the server saves, and a folder that stands in the way of it. */
let obstacle: string;

beforeAll(async () => {
  server = await RedisServer.start({ args: ['--enable-debug-command', 'yes'] });
  const [, folder] = (await server.cli('CONFIG', 'GET', 'dir')).split('\n');
  obstacle = join(folder!, 'dump.rdb');
  const clients = ['recommended', 'default', 'node-redis'] as const;
  loads = await Promise.all(clients.map((client) => FaultLoad.start({ client, ports: [server.port] })));
});
afterAll(async () => {
  await Promise.all(loads.map((load) => load.end()));
  await server?.stop();
});

const set = (name: string, value: string) => server.cli('CONFIG', 'SET', name, value);
let sleep: Promise<unknown>;
let loaded: Promise<unknown>;

const faults: readonly Fault[] = [
  {
    name: 'is killed and restarted without its data',
    algorithm: 'token-bucket',
    begin: () => server.kill(),
    end: () => server.restart(),
  },
  {
    name: 'hangs, and goes on',
    algorithm: 'fixed-window',
    begin: () => server.pause(),
    async end() {
      server.resume();
      await server.cli('PING');
    },
  },
  {
    name: 'is busy with a slow command',
    algorithm: 'sliding-window-log',
    begin() {
      sleep = server.cli('DEBUG', 'SLEEP', '1');
    },
    end: () => sleep,
    lasts: false,
  },
  {
    name: 'is out of memory',
    algorithm: 'sliding-window-counter',
    begin: () => set('maxmemory', '1'),
    end: () => set('maxmemory', '0'),
  },
  {
    name: 'is read-only, a replica now',
    algorithm: 'leaky-bucket',
    begin: () => server.cli('REPLICAOF', '127.0.0.1', '1'),
    end: () => server.cli('REPLICAOF', 'NO', 'ONE'),
  },
  {
    name: 'lacks the replicas that it wants',
    algorithm: 'token-bucket',
    begin: () => set('min-replicas-to-write', '1'),
    end: () => set('min-replicas-to-write', '0'),
  },
  {
    name: 'cannot save, and takes no writes',
    algorithm: 'fixed-window',
    async begin() {
      await mkdir(obstacle);
      await set('save', '3600 1000000');
      await server.cli('BGSAVE');
      await until('the server cannot save', async () =>
        (await server.cli('INFO', 'persistence')).includes('rdb_last_bgsave_status:err'),
      );
    },
    async end() {
      await rmdir(obstacle);
      await set('save', '');
      await server.cli('BGSAVE');
      await until('the server can save', async () =>
        (await server.cli('INFO', 'persistence')).includes('rdb_last_bgsave_status:ok'),
      );
    },
  },
  {
    name: 'loads its data for a while',
    algorithm: 'token-bucket',
    async begin() {
      await server.cli('EVAL', "for i = 1, 400 do redis.call('SET', i, string.rep('x', 100)) end", '0');
      await server.cli('SAVE');
      // So slowly that it takes a second and a half.
      loaded = server.restart(['--enable-debug-command', 'yes', '--key-load-delay', '3000']);
      await until('the server loads', async () => server.log.includes('Loading RDB'));
    },
    end: () => loaded,
    lasts: false,
  },
  {
    name: 'has lost its scripts',
    algorithm: 'sliding-window-log',
    begin: () => server.cli('SCRIPT', 'FLUSH'),
    end() {},
    during: 'store',
  },
];

describe('every request is answered in time, none is granted too much, and Redis decides again soon, when it', () => {
  for (const fault of faults) it(fault.name, () => survives(loads, fault));
});
