import { SluiceError } from './errors.js';
import type { CompiledPolicy } from './policy.js';
import type { Store } from './store.js';

/** Which policies keep state in a store, and how many limiters use each. */
const claims = new WeakMap<Store, Map<string, { policy: CompiledPolicy; limiters: number }>>();

/**
 * Notes that a limiter keeps the state of these policies in a store. State belongs to a policy's algorithm and name, so
 * that two limiters with different policies of one name would count in each other's windows.
 * @throws SluiceError `DUPLICATE_POLICY` where that would be so, and what the store throws for one that it cannot keep. The returned function takes the note back.
 */
export function claim(store: Store, policies: readonly CompiledPolicy[], where: string): () => void {
  for (const policy of policies) store.check?.(policy);
  const held = claims.get(store) ?? new Map<string, { policy: CompiledPolicy; limiters: number }>();
  claims.set(store, held);
  for (const policy of policies) {
    const other = held.get(policy.id)?.policy;
    if (other === undefined || isSame(policy, other)) continue;
    throw new SluiceError(
      'DUPLICATE_POLICY',
      `${where}: another limiter keeps a different policy '${policy.name}' (${describe(other)}, not ${describe(policy)}) ` +
        "in the same store. Give each limiter a 'name' of its own, or a store of its own.",
    );
  }
  for (const policy of policies) {
    const note = held.get(policy.id);
    if (note) note.limiters++;
    else held.set(policy.id, { policy, limiters: 1 });
  }
  return () => {
    for (const { id } of policies) {
      const note = held.get(id);
      if (note && --note.limiters === 0) held.delete(id);
    }
  };
}

/** Whether two policies of one id can share its state. */
export function isSame(a: CompiledPolicy, b: CompiledPolicy): boolean {
  // A penalty has terms of its own below.
  return JSON.stringify(a) === JSON.stringify(b);
}

export function describe({ algorithm, limit, windowMs, capacity }: CompiledPolicy): string {
  return `${algorithm} ${limit}/${windowMs}ms${capacity === limit ? '' : ` burst ${capacity}`}`;
}
