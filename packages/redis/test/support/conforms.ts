import { storeSuite } from '@sluice/testing';
import { test } from 'vitest';
import { type RedisClient, RedisStore } from '../../src/index.ts';

/** So long a deadline that a busy machine does not make the answers another's. */
export const patient = { onError: 'throw', deadline: '10s', logger: { warn() {} } } as const;

/** Declares the cases of `storeSuite` for a RedisStore over that client. */
export function conforms(client: () => RedisClient, flush: () => Promise<unknown>): void {
  storeSuite(test, {
    realTime: true,
    async create() {
      await flush();
      return { store: new RedisStore(client(), patient) };
    },
  });
}
