import { storeSuite } from '@sluice/testing';
import { describe, test } from 'vitest';
import { Leases } from '../../src/index.ts';
import { LendingStore } from './support/lending-store.ts';

describe('Leases of a store', () => {
  storeSuite(test, {
    create(clock) {
      const store = new LendingStore(clock);
      return { store: new Leases(store, { lessor: store, instances: 1, clock }) };
    },
  });
});
