import { afterAll, beforeAll, describe, it } from 'vitest';
import { RedisSentinels } from '../support/redis/sentinel.js';
import type { RedisServer } from '../support/redis/server.js';
import { until } from '../support/redis/until.js';
import { FaultLoad } from './support/fault-load.js';
import { survives } from './support/fault-trial.js';

let set: RedisSentinels;
let load: FaultLoad;

beforeAll(async () => {
  set = await RedisSentinels.start();
  load = await FaultLoad.start({ client: 'sentinel', ports: set.sentinelPorts, master: set.name });
});
afterAll(async () => {
  await load?.end();
  await set?.stop();
});

describe('every request is answered in time, none is granted too much, and Redis decides again soon, when', () => {
  let master: RedisServer;

  it('a master is killed, and the sentinels put a replica in its place', () =>
    survives([load], {
      name: 'failover',
      algorithm: 'token-bucket',
      async begin() {
        master = await set.master();
        await master.kill();
      },
      end: () => set.masterChanged(master),
    }));

  it('the sentinels are told to replace a master that is well', () =>
    survives([load], {
      name: 'switchover',
      algorithm: 'sliding-window-counter',
      async begin() {
        await master.restart();
        master = await set.master();
        // Not while it still remembers the last one.
        await until('the sentinel agrees', async () => {
          return (await set.sentinels[0]!.cli('SENTINEL', 'FAILOVER', set.name)) === 'OK';
        });
      },
      end: () => set.masterChanged(master),
      lasts: false,
    }));
});
