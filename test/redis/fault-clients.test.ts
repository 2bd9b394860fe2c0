import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RedisServer } from '../support/redis/server.js';
import { FaultLoad, now } from './support/fault-load.js';
import { isBounded, phaseOf } from './support/fault-trial.js';

let server: RedisServer;
let loads: readonly FaultLoad[] = [];
beforeAll(async () => {
  server = await RedisServer.start();
  const clients = ['recommended', 'default', 'node-redis'] as const;
  loads = await Promise.all(clients.map((client) => FaultLoad.start({ client, ports: [server.port] })));
});
afterAll(async () => {
  await Promise.all(loads.map((load) => load.end()));
  await server?.stop();
});

function begin(name: string): void {
  for (const load of loads) load.begin(phaseOf({ name, algorithm: 'token-bucket' }, load.name));
}

/** Resolves when Redis decides. */
async function isWell(name: string): Promise<void> {
  begin(name);
  for (const load of loads) await load.sees('a decision of Redis', ({ source }) => source === 'store');
}

describe('a process with a client whose errors nobody listens to', () => {
  it('lives on while Redis is gone, and its client is given nothing that it could queue', async () => {
    await isWell('before');
    await server.kill();
    const killed = now();
    for (const load of loads) {
      await load.sees('a decision without Redis', ({ at, source }) => at > killed && source === 'fallback');
      isBounded(load);
    }
    begin('gone');
    for (const load of loads) {
      await load.sees('hundreds of decisions', () => load.asks.length >= 400);
      expect(new Set(load.asks.map(({ source }) => source))).toEqual(new Set(['fallback']));
      expect(load.given, `${load.name}: commands that the client was given`).toBe(0);
      isBounded(load);
    }
    await server.restart();
    await isWell('back');
  });

  it('lives on while Redis hangs, and its client is given no more than what was under way, and a probe', async () => {
    await isWell('well');
    await server.pause();
    for (const load of loads) {
      await load.sees('a refusal by the process', ({ source, allowed }) => source === 'fallback' && !allowed);
    }
    const before = loads.map(({ unsettled }) => unsettled);
    begin('hung');
    for (const [i, load] of loads.entries()) {
      await load.sees('hundreds of decisions', () => load.asks.length >= 400);
      expect(load.unsettled, `${load.name}: commands without an answer`).toBeLessThanOrEqual(before[i]! + 1);
      isBounded(load);
    }
  });
});
