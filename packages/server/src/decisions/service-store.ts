import {
  type Charge,
  type CompiledPolicy,
  compilePolicies,
  type Decision,
  isPromise,
  type MaybePromise,
  type Refund,
  type Store,
} from '@sluice/core';
import { algorithmNames } from '@sluice/core/toolkit';

/** Is told how long the store took to decide, in milliseconds, and whether it failed. What is answered without it is not told. */
export type StoreObserver = (ms: number, failed: boolean) => void;

/**
 * A ServiceStore is the store of the service, as the pipelines of one set of rules use it. The limits of a user that no
 * rule says, the default ones or his own, have one state, under his id alone: `ratelimit:token-bucket:{alice}`. An id
 * with a colon keeps its `user:` before it, since it could be the key of something else.
 */
export class ServiceStore implements Store {
  readonly #store: Store;
  readonly #observe: StoreObserver;
  readonly #ofUsers = new WeakMap<CompiledPolicy, CompiledPolicy>();

  constructor(store: Store, observe: StoreObserver) {
    this.#store = store;
    this.#observe = observe;
  }

  consume(charges: readonly Charge[]): MaybePromise<readonly Decision[]> {
    return this.#ask(charges, (kept) => this.#store.consume(kept));
  }

  peek(charges: readonly Charge[]): MaybePromise<readonly Decision[]> {
    return this.#ask(charges, (kept) => this.#store.peek(kept));
  }

  release(refunds: readonly Refund[]): MaybePromise<void> {
    return this.#store.release(refunds.map((refund) => this.#kept(refund)));
  }

  /** Of the limits of a user that no rule says, forgets what he has taken under any algorithm he ever had. */
  async reset(key: string, policies: readonly CompiledPolicy[]): Promise<void> {
    const hasOwn = policies.some((policy) => isOwn(policy, key));
    const all = hasOwn ? [...policies.filter((policy) => !isOwn(policy, key)), ...ofEachAlgorithm] : policies;
    const kept = all.map((policy) => this.#kept({ policy, key, cost: 0 }));
    for (const name of new Set(kept.map((one) => one.key))) {
      await this.#store.reset(
        name,
        kept.filter((one) => one.key === name).map(({ policy }) => policy),
      );
    }
  }

  #kept<C extends Charge>(charge: C): C {
    const { policy, key } = charge;
    if (!isOwn(policy, key)) return charge;
    return { ...charge, key: stateKeyOf(key), policy: this.#ofUser(policy) };
  }

  /** Whatever the numbers are, it is the state of the user's one bucket. */
  #ofUser(policy: CompiledPolicy): CompiledPolicy {
    if (policy.name === 'default') return policy;
    let own = this.#ofUsers.get(policy);
    if (own === undefined) {
      own = { ...policy, name: 'default', id: policy.algorithm };
      this.#ofUsers.set(policy, own);
    }
    return own;
  }

  /** The decisions are called as the policies that were asked for, by which the pipeline finds the numbers. */
  #ask(
    charges: readonly Charge[],
    ask: (kept: readonly Charge[]) => MaybePromise<readonly Decision[]>,
  ): MaybePromise<readonly Decision[]> {
    const kept = charges.map((charge) => this.#kept(charge));
    const decisions = this.#timed(() => ask(kept));
    if (isPromise(decisions)) return decisions.then((later) => named(later, charges));
    return named(decisions, charges);
  }

  #timed(ask: () => MaybePromise<readonly Decision[]>): MaybePromise<readonly Decision[]> {
    const begun = performance.now();
    try {
      const answer = ask();
      if (!isPromise(answer)) {
        if (!isWithoutStore(answer)) this.#observe(performance.now() - begun, false);
        return answer;
      }
      return answer.then(
        (decisions) => {
          this.#observe(performance.now() - begun, false);
          return decisions;
        },
        (error) => {
          this.#observe(performance.now() - begun, true);
          throw error;
        },
      );
    } catch (error) {
      this.#observe(performance.now() - begun, true);
      throw error;
    }
  }
}

/** Whether an answer that came at once is from a lease, or a refusal that was remembered: all of a list is, or none. */
function isWithoutStore([decision]: readonly Decision[]): boolean {
  return decision?.source === 'lease' || decision?.source === 'deny-cache';
}

/**
 * What the pipeline is told of the policies it has asked for: their names, by which it finds the numbers; and of the
 * limits that no rule says, which may be told by what a bucket holds, that as the limit.
 */
function named(decisions: readonly Decision[], charges: readonly Charge[]): readonly Decision[] {
  return decisions.map((decision, i) => {
    const { policy } = charges[i]!;
    if (policy.name === 'override') return { ...decision, policy: policy.name, limit: policy.capacity };
    if (policy.name !== 'default' || policy.capacity <= policy.limit) return decision;
    return { ...decision, limit: policy.capacity };
  });
}

/** Policies that name the state of a user under each algorithm. */
const ofEachAlgorithm: readonly CompiledPolicy[] = algorithmNames.flatMap((algorithm) =>
  compilePolicies([{ algorithm, limit: 1, window: '1m' }], 'limits'),
);

/** Whether these are limits of a user that no rule says. */
function isOwn({ name }: CompiledPolicy, key: string): boolean {
  return (name === 'default' || name === 'override') && key.startsWith('user:');
}

/** The id of the user, where it can stand for itself. */
function stateKeyOf(key: string): string {
  const id = key.slice('user:'.length);
  return id.includes(':') ? key : id;
}
