import { type ManualClock, storeSuite } from '@sluice/testing';
import { describe, test } from 'vitest';
import { MemoryStore, type Store } from '../../src/index.ts';
import { asyncStore } from '../limiter/async-store.ts';

describe('MemoryStore', () => {
  storeSuite(test, { create: (clock) => ({ store: new MemoryStore({ clock }) }) });
});

describe('a store that answers later', () => {
  const create = (clock: ManualClock): { store: Store } => ({ store: asyncStore(new MemoryStore({ clock })) });
  storeSuite(test, { create });
});
