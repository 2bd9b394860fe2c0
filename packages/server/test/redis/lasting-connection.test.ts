import { ManualClock } from '@sluice/testing';
import { describe, expect, it } from 'vitest';
import type { RedisServer } from '../../../../test/support/redis/server.ts';
import { until } from '../../../../test/support/redis/until.ts';
import { keepConnected } from '../../src/redis/lasting-connection.ts';
import { connected, withServer } from '../support/redis.ts';

let server: RedisServer;
withServer((_redis, its) => {
  server = its;
});

describe('a lasting connection', () => {
  it('is connected again when its client has ended, and ends when it is let go', async () => {
    const clock = new ManualClock();
    const client = await connected(server.url);
    const letGo = keepConnected(client, clock);
    for (let i = 0; i < 2; i++) {
      client.disconnect();
      await until('the next attempt is set', async () => clock.pending === 1);
      expect(client.status).toBe('end');
      clock.advance(100);
      await until('it is connected', async () => client.status === 'ready');
    }
    letGo();
    await until('it has ended', async () => client.status === 'end');
    expect(clock.pending).toBe(0);
  });

  it('is not connected again when it is let go meanwhile', async () => {
    const clock = new ManualClock();
    const client = await connected(server.url);
    const letGo = keepConnected(client, clock);
    client.disconnect();
    await until('the next attempt is set', async () => clock.pending === 1);
    letGo();
    expect(clock.pending).toBe(0);
    expect(client.status).toBe('end');
  });
});
