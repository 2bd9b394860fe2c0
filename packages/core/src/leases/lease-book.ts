import { systemClock } from '../clock.js';
import { parseDuration } from '../duration.js';
import type { CompiledPolicy } from '../policy.js';
import { leaseTime } from './lease.js';
import { checkLeasesOptions, type LeasesOptions } from './lease-options.js';
import { LeasedKey, type Lessor } from './leased-key.js';
import { LeasedPolicy } from './leased-policy.js';

/** A smaller lease would save no call worth the name: small limits stay exact. */
const smallestLease = 8;

/** Leased keys of a process at the most. */
const mostKeys = 10_000;

/** Keys looked at for one that can be forgotten. */
const looks = 8;

/** A LeaseBook knows of all leases of a process. */
export class LeaseBook {
  readonly #lessor: Lessor;
  readonly #share: number;
  readonly #policies = new WeakMap<CompiledPolicy, LeasedPolicy | null>();
  readonly #keys = new Set<LeasedKey>();
  /** Most requests are of the same policy as the one before. */
  #last: CompiledPolicy | undefined;
  #lastLeased: LeasedPolicy | null = null;
  #isClosed = false;

  /** @throws SluiceError for options that cannot work. */
  constructor(options: LeasesOptions) {
    checkLeasesOptions(options);
    const { lessor, instances, share = 0.01, clock = systemClock, deadline } = options;
    this.#share = share;
    this.#lessor = {
      store: lessor,
      instances,
      clock,
      deadline: deadline === undefined ? Number.POSITIVE_INFINITY : parseDuration(deadline, 'Leases') * 1_000,
    };
  }

  now(): number {
    return this.#lessor.clock.now();
  }

  /** Nothing for a policy that is not leased. */
  of(policy: CompiledPolicy): LeasedPolicy | null {
    if (policy === this.#last) return this.#lastLeased;
    let leased = this.#policies.get(policy);
    if (leased === undefined) {
      leased = this.#leasedPolicy(policy);
      this.#policies.set(policy, leased);
    }
    this.#last = policy;
    this.#lastLeased = leased;
    return leased;
  }

  /** The key, if it is leased, or hot enough to be leased from now on. */
  find(policy: LeasedPolicy, key: string, now: number): LeasedKey | undefined {
    const leased = policy.keys.get(key);
    if (leased !== undefined) {
      if (!leased.isIdle) return leased;
      this.#remove(leased);
    }
    return policy.warms(key, now) && !this.#isClosed ? this.#added(policy, key, now) : undefined;
  }

  /** Forgets the leases of a key. */
  drop(key: string, policies: readonly CompiledPolicy[]): void {
    // Also those of the same state under another limit.
    for (const leased of this.#keys) {
      if (leased.key === key && policies.some(({ id }) => id === leased.policy.policy.id)) this.#remove(leased);
    }
  }

  close(): void {
    this.#isClosed = true;
    for (const leased of this.#keys) this.#remove(leased);
  }

  #leasedPolicy(policy: CompiledPolicy): LeasedPolicy | null {
    const largest = Math.floor((policy.capacity * this.#share) / this.#lessor.instances);
    const time = leaseTime(policy) * 1_000;
    return time === 0 || largest < smallestLease ? null : new LeasedPolicy(policy, largest, time);
  }

  #added(policy: LeasedPolicy, key: string, now: number): LeasedKey | undefined {
    if (this.#keys.size >= mostKeys && !this.#makeRoom(now)) return undefined;
    const leased = new LeasedKey(policy, key, this.#lessor, now);
    policy.keys.set(key, leased);
    this.#keys.add(leased);
    return leased;
  }

  #makeRoom(now: number): boolean {
    let left = looks;
    for (const leased of this.#keys) {
      if (leased.isUnused(now)) {
        this.#remove(leased);
        return true;
      }
      if (left-- === 0) return false;
      // Next time, others are looked at.
      this.#keys.delete(leased);
      this.#keys.add(leased);
    }
    return false;
  }

  #remove(leased: LeasedKey): void {
    leased.drop();
    leased.policy.keys.delete(leased.key);
    this.#keys.delete(leased);
  }
}
