import type { CompiledPolicy } from '../policy.js';
import { KeyHash } from './key-hash.js';
import { Owners } from './owners.js';
import { Table } from './table.js';

/** Contents is what a store keeps: its keys, whose they are, and the hash by which they are found. */
export class Contents {
  readonly hash: KeyHash;
  readonly table: Table;
  readonly owners: Owners;

  /** `policies` by the numbers that the keys know them by. */
  constructor(hash = new KeyHash(), table = new Table(), policies: readonly CompiledPolicy[] = []) {
    this.hash = hash;
    this.table = table;
    this.owners = new Owners(table.shapes, policies);
  }
}
