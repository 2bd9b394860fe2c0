import { afterAll, beforeAll, describe, it } from 'vitest';
import { FaultProxy } from '../support/redis/fault-proxy.js';
import { RedisServer } from '../support/redis/server.js';
import { FaultLoad } from './support/fault-load.js';
import { type Fault, survives } from './support/fault-trial.js';

let server: RedisServer;
/** One for each load, so that each loses something. */
let proxies: readonly FaultProxy[] = [];
let loads: readonly FaultLoad[] = [];

beforeAll(async () => {
  server = await RedisServer.start();
  const clients = ['recommended', 'default', 'node-redis'] as const;
  proxies = await Promise.all(clients.map(() => FaultProxy.to(server.port)));
  loads = await Promise.all(clients.map((client, i) => FaultLoad.start({ client, ports: [proxies[i]!.port] })));
});
afterAll(async () => {
  await Promise.all(loads.map((load) => load.end()));
  await Promise.all(proxies.map((proxy) => proxy.close()));
  await server?.stop();
});

function all(act: (proxy: FaultProxy) => void): () => void {
  return () => {
    for (const proxy of proxies) act(proxy);
  };
}
const pass = all((proxy) => proxy.pass());

const faults: readonly Fault[] = [
  {
    name: 'takes 200 ms to answer',
    algorithm: 'token-bucket',
    begin: all((proxy) => proxy.delay(200)),
    end: pass,
  },
  {
    name: 'takes 20 ms to answer, which is in time',
    algorithm: 'sliding-window-counter',
    begin: all((proxy) => proxy.delay(20)),
    end: pass,
    during: 'store',
  },
  {
    name: 'accepts connections and never answers',
    algorithm: 'fixed-window',
    begin: all((proxy) => {
      proxy.cut();
      proxy.hang();
    }),
    end: pass,
  },
  {
    name: 'is cut off in silence, connections staying open',
    algorithm: 'sliding-window-log',
    begin: all((proxy) => proxy.hang()),
    end: pass,
  },
  {
    name: 'carries out what it is told, and its replies are lost',
    algorithm: 'leaky-bucket',
    begin: all((proxy) => proxy.swallowReplies()),
    end: pass,
  },
  {
    name: 'refuses connections',
    algorithm: 'token-bucket',
    begin: all((proxy) => {
      proxy.refuse();
      proxy.cut();
    }),
    end: pass,
  },
  {
    name: 'is cut off in the middle of a reply',
    algorithm: 'fixed-window',
    begin: all((proxy) => proxy.cutMidReply()),
    end() {},
    lasts: false,
  },
  {
    name: 'is cut off when it has carried out a command',
    algorithm: 'sliding-window-log',
    begin: all((proxy) => proxy.cutAfterRequest('EVALSHA')),
    end() {},
    lasts: false,
  },
];

describe('every request is answered in time, none is granted too much, and Redis decides again soon, when it', () => {
  for (const fault of faults) it(fault.name, () => survives(loads, fault));
});
