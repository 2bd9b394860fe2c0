import { storeSuite } from '@sluice/testing';
import { describe, test } from 'vitest';
import { DenyCache, MemoryStore } from '../../src/index.ts';
import { asyncStore } from '../limiter/async-store.ts';

describe('a DenyCache around a store that answers at once', () => {
  storeSuite(test, { create: (clock) => ({ store: new DenyCache(new MemoryStore({ clock }), { clock }) }) });
});

describe('a DenyCache around a store that answers later', () => {
  storeSuite(test, {
    create: (clock) => ({ store: new DenyCache(asyncStore(new MemoryStore({ clock })), { clock }) }),
  });
});
