import { type CompiledPolicy, compilePolicies, type Policy } from '../../packages/core/src/index.ts';
import type { Random } from './random.ts';

/** How requests come to a node. */
export interface Demand {
  /** Microseconds from one arrival to the next, on the average. */
  readonly gap: number;
  /** Requests that arrive at one instant: up to so many. */
  readonly burst: number;
  /** Units of a heavy request, and how many of the requests are. */
  readonly weight: number;
  readonly heavy: number;
  /** Microseconds for which requests come and do not come in turns; 0 where they come all the time. */
  readonly phase: number;
  /** How many of the grants are given back after a while. */
  readonly returned: number;
}

export interface NodePlan {
  /** True time at the start less the time that the clock of the node shows, in microseconds. */
  readonly offset: number;
  /** Microseconds of its clock per microsecond of true time. */
  readonly rate: number;
  readonly hasLeases: boolean;
  readonly demand: Demand;
  /** When it stands still, and for how long. */
  readonly pauses: readonly { readonly at: number; readonly lasts: number }[];
  readonly crashes: readonly number[];
}

export interface NetworkPlan {
  /** Microseconds that a message is under way at least, and on the average beyond. */
  readonly least: number;
  readonly jitter: number;
  /** How many messages take as long as a lease or longer. */
  readonly slow: number;
  readonly slowest: number;
  readonly lost: number;
  readonly repeated: number;
  /** Milliseconds after which a node waits no more. */
  readonly deadline: number;
}

/**
 * What somebody does who knows when leases end and wants more than the contract: sees to it that there are leases,
 * spends what is left of one at its end, and has all else taken right before or after.
 */
export interface Attack {
  /** Of how many leases the end is waited for. */
  readonly part: number;
  /** Requests that spend what is left, at the most. */
  readonly requests: number;
  /** When many come for one unit each. */
  readonly rushes: readonly { readonly at: number; readonly node: number }[];
}

/** A Scenario is what a seed stands for. Instants are microseconds of true time, durations too. */
export interface Scenario {
  readonly policies: readonly CompiledPolicy[];
  readonly share: number;
  /** True time when requests begin to come. */
  readonly start: number;
  readonly duration: number;
  readonly nodes: readonly NodePlan[];
  readonly network: NetworkPlan;
  /** When somebody takes all there is, or a part of it; a window may have begun so before the start. */
  readonly gulps: readonly { readonly at: number; readonly node: number; readonly part: number }[];
  readonly resets: readonly number[];
  readonly attack: Attack;
}

const year2026 = Date.UTC(2026, 0, 1) * 1_000;
/** Requests of a run: what it costs to simulate is in proportion. */
const requests = 1_200;

export interface Wishes {
  /** Nothing is lost, late or repeated, and no clock is wrong. */
  readonly faultless?: boolean;
  /** Each node asks for a multiple of the contract. */
  readonly saturated?: boolean;
  /** Somebody attacks at the end of each lease, over a fast network. */
  readonly attacked?: boolean;
}

export function scenarioOf(
  random: Random,
  { faultless = false, saturated = false, attacked = false }: Wishes = {},
): Scenario {
  const inputs = [policyOf(random, saturated)];
  if (!saturated && random.chance(0.15)) inputs.push({ ...policyOf(random, false), name: 'second' });
  const policies = compilePolicies(inputs, 'policies');
  const policy = policies[0]!;
  const lease = Math.min(1_000_000, refill(policy) / 100);
  const isAttack = !saturated && (attacked || random.chance(0.5));
  const size = isAttack || saturated ? random.integer(2, 4) : random.integer(2, 8);
  const duration = saturated ? policy.window : Math.round(Math.min(lease * random.magnitude(4, 40), 20_000_000));
  const at = () => Math.round(random.next() * duration);

  // Windows are to end while something happens.
  const near = year2026 + Math.round(random.next() * 30 * 86_400_000_000);
  const boundary = near - (near % policy.window) + policy.window;
  const start = saturated ? boundary : boundary - Math.round(duration * random.between(-0.2, 1.1));

  const stress = saturated ? random.between(2, 5) : random.magnitude(0.3, 5);
  // Leases are attacked best while few ask.
  const burst = isAttack ? 40 : random.pick([1, 4, 16, 40]);
  const wanted = saturated ? contract(policy) * stress : requests;
  const arrivals = wanted / ((burst + 1) / 2);
  const gap = Math.max((duration * size) / arrivals, isAttack ? lease * size * random.magnitude(0.5, 5) : 0);
  const units = random.chance(0.5) ? (policy.limit / policy.window) * duration * stress : 0;
  const share = saturated ? random.pick([0.01, 0.02]) : random.pick([0.01, 0.03, 0.1, 0.1]);
  const largest = (policy.capacity * share) / size;
  // Few ask, and yet for enough that there are leases.
  const weight = Math.max(48, Math.round(isAttack ? largest * random.magnitude(0.02, 0.5) : (units / requests) * 2));
  const nodes = Array.from({ length: size }, (): NodePlan => {
    const wanders = !faultless && random.chance(0.8);
    return {
      offset: Math.round(random.between(-1, 1) * 86_400_000_000),
      rate: wanders ? random.pick([0.995, 0.995, 1.005, random.between(0.995, 1.005)]) : 1,
      hasLeases: saturated || random.chance(0.85),
      demand: {
        gap: gap * random.between(0.5, 1.5),
        burst,
        weight,
        heavy: saturated ? 0 : isAttack ? random.pick([0.05, 0.5]) : random.pick([0.05, 0.2, 0.5]),
        phase: !saturated && !isAttack && random.chance(0.4) ? lease * random.magnitude(0.3, 5) : 0,
        returned: !saturated && random.chance(0.3) ? random.between(0, 0.3) : 0,
      },
      pauses:
        !faultless && random.chance(0.3)
          ? times(random.integer(1, 3), () => ({ at: at(), lasts: Math.round(lease * random.magnitude(0.05, 4)) }))
          : [],
      crashes: !faultless && random.chance(0.2) ? times(random.integer(1, 3), at) : [],
    };
  });

  const isFast = faultless || attacked || random.chance(0.6);
  const least = isFast ? random.magnitude(30, 300) : lease * random.magnitude(0.01, 0.5);
  const network = {
    least,
    jitter: faultless ? least / 4 : least * random.magnitude(0.1, 3),
    slow: !faultless && random.chance(0.4) ? random.between(0, 0.1) : 0,
    slowest: lease * 2,
    lost: !faultless && random.chance(0.3) ? random.between(0, 0.04) : 0,
    repeated: !faultless && random.chance(0.4) ? random.between(0, 0.15) : 0,
    deadline: faultless ? 1_000 : Math.max(5, (lease / 1_000) * random.magnitude(0.5, 10)),
  };

  // The contract is near its end from the start, or all at once in the middle of it, or when a window ends or begins.
  const anyNode = () => random.integer(0, size - 1);
  const gulps: { at: number; node: number; part: number }[] = [];
  const isAnchored = policy.anchor === 'first';
  const inWindow = isAnchored ? Math.round(random.next() * duration) : boundary - start;
  if (isAnchored && !saturated)
    gulps.push({ at: inWindow - policy.window, node: anyNode(), part: random.pick([0.001, 0.5, 0.95]) });
  if (!saturated) {
    if (random.chance(isAttack ? 0.1 : 0.5)) gulps.push({ at: 0, node: anyNode(), part: random.pick([0.5, 0.9, 1]) });
    for (let i = isAttack ? 0 : random.integer(0, 3); i > 0; i--) gulps.push({ at: at(), node: anyNode(), part: 1 });
    if (policy.algorithm !== 'token-bucket' && inWindow > 0 && inWindow < duration && random.chance(0.7)) {
      gulps.push({ at: inWindow + Math.round(lease * random.between(-0.1, 0.3)), node: anyNode(), part: 1 });
    }
  }
  return {
    policies,
    share,
    start,
    duration,
    nodes,
    network,
    gulps,
    attack: {
      part: attacked ? 1 : isAttack ? random.pick([0.1, 0.4, 1]) : 0,
      requests: random.pick([10, 40]),
      rushes: isAttack
        ? times(random.integer(0, 4), () => ({ at: inWindow - random.next() * lease, node: anyNode() }))
        : [],
    },
    resets: !saturated && random.chance(0.15) ? times(random.integer(1, 2), at) : [],
  };
}

/** A small one can be taken in single units, often enough for leases. */
function policyOf(random: Random, isSmall: boolean): Policy {
  const limit = Math.round(isSmall ? random.magnitude(8_000, 16_000) : random.magnitude(1_000, 1_000_000));
  const window = Math.round(random.magnitude(1_000, isSmall ? 10_000 : 3_600_000));
  switch (random.integer(0, 5)) {
    case 0:
      return { algorithm: 'fixed-window', limit, window };
    case 1:
      return { algorithm: 'fixed-window', anchor: 'first', limit, window };
    case 2:
      return { algorithm: 'sliding-window-counter', limit, window };
    case 3: {
      const burst = Math.round(Math.min(1_000_000, Math.max(1_000, limit * random.magnitude(0.2, isSmall ? 1 : 5))));
      return { algorithm: 'token-bucket', limit, window, burst };
    }
    default:
      return { algorithm: 'token-bucket', limit, window };
  }
}

/** Microseconds in which all that may be taken at once comes back. */
function refill({ capacity, limit, window }: CompiledPolicy): number {
  return (capacity / limit) * window;
}

/** Units that may be admitted in the first window. */
export function contract({ algorithm, capacity, limit }: CompiledPolicy): number {
  return algorithm === 'token-bucket' ? capacity + limit : limit;
}

function times<T>(count: number, make: () => T): T[] {
  return Array.from({ length: count }, make);
}
