import type { CompiledPolicy } from '../../packages/core/src/index.ts';
import type { Change } from './server.ts';

/** Units that a caller was granted, at the true instant of the grant. */
export interface Admission {
  readonly time: number;
  readonly units: number;
  readonly node: number;
  readonly isLeased: boolean;
}

/** The stretch of time in which a run came nearest to what a policy grants, or went beyond it. Instants are true. */
export interface Worst {
  readonly from: number;
  readonly to: number;
  /** Units in it, of the most that the contract has for it: more is a violation. */
  readonly units: number;
  readonly most: number;
  /** How much of the contract is used: above 1 is a violation. */
  readonly load: number;
  readonly isViolation: boolean;
  readonly nodes: readonly number[];
}

/** What an admission leads to: see the fields of the same names in Worst. */
type Reached = Omit<Worst, 'to' | 'nodes'>;

/** A Contract says how many units may be admitted, in terms of admissions and nothing else. */
interface Contract {
  admit(time: number, units: number): Reached;
  /** Says how many of the units are none that count now, though they are said to be. */
  giveBack(time: number, units: number, at: number | undefined): number;
  forget(time: number): void;
  begin?(time: number, ends: number): void;
}

/** A bucket that owes what is admitted when it is admitted: never above its capacity, in whichever interval. */
class Bucket implements Contract {
  readonly #policy: CompiledPolicy;
  /** Parts of a unit. */
  #debt = 0;
  #time = 0;
  /** When it last owed nothing. */
  #from = 0;
  /** Parts drained since then. */
  #drained = 0;

  constructor(policy: CompiledPolicy) {
    this.#policy = policy;
  }

  admit(time: number, units: number) {
    const { unit, capacity } = this.#policy;
    this.#drain(time);
    this.#debt += units * unit;
    const drained = this.#drained / unit;
    const full = capacity * unit;
    return {
      from: this.#from,
      units: this.#debt / unit + drained,
      most: capacity + drained,
      load: this.#debt / full,
      isViolation: this.#debt > full,
    };
  }

  giveBack(time: number, units: number, at: number | undefined) {
    const { unit, rate } = this.#policy;
    this.#drain(time);
    const refilled = at === undefined ? 0 : (time - at) * rate;
    this.#debt = Math.max(0, this.#debt - Math.max(0, units * unit - refilled));
    return 0;
  }

  forget(time: number) {
    this.#debt = 0;
    this.#drain(time);
  }

  #drain(time: number) {
    const drained = this.#policy.rate * (time - this.#time);
    this.#time = time;
    if (drained < this.#debt) {
      this.#debt -= drained;
      this.#drained += drained;
    } else {
      this.#debt = 0;
      this.#drained = 0;
      this.#from = time;
    }
  }
}

/** As many units in a window as the limit says. */
class FixedWindow implements Contract {
  readonly #policy: CompiledPolicy;
  #from = 0;
  #ends = 0;
  #units = 0;

  constructor(policy: CompiledPolicy) {
    this.#policy = policy;
  }

  admit(time: number, units: number) {
    this.#roll(time);
    this.#units += units;
    // A unit outside of any window is one that nobody took.
    return time < this.#ends ? reached(this.#from, this.#units, this.#policy.limit) : reached(time, units, 0);
  }

  giveBack(time: number, units: number, at: number | undefined) {
    this.#roll(time);
    if (at !== undefined && at < this.#from) return 0;
    const given = Math.min(units, this.#units);
    this.#units -= given;
    return units - given;
  }

  forget() {
    this.#units = 0;
  }

  begin(time: number, ends: number) {
    // A window that is not over when the next one begins counts on: it can have nothing in it.
    if (time >= this.#ends) this.#units = 0;
    this.#from = time;
    this.#ends = ends;
  }

  #roll(time: number) {
    const { anchor, window } = this.#policy;
    if (anchor === 'first' || time < this.#ends) return;
    this.#from = time - (time % window);
    this.#ends = this.#from + window;
    this.#units = 0;
  }
}

/** The estimate of a sliding window, at each admission. */
class SlidingWindowCounter implements Contract {
  readonly #policy: CompiledPolicy;
  #start = 0;
  #current = 0;
  #previous = 0;

  constructor(policy: CompiledPolicy) {
    this.#policy = policy;
  }

  admit(time: number, units: number) {
    const { window, limit } = this.#policy;
    this.#roll(time);
    this.#current += units;
    const share = this.#start + window - time;
    return reached(time - window, this.#current + Math.floor((this.#previous * share) / window), limit);
  }

  giveBack(time: number, units: number, at: number | undefined) {
    this.#roll(time);
    const { window } = this.#policy;
    if (at !== undefined && at < this.#start) {
      if (at >= this.#start - window) this.#previous = Math.max(0, this.#previous - units);
      return 0;
    }
    const given = Math.min(units, this.#current);
    this.#current -= given;
    if (at === undefined) this.#previous = Math.max(0, this.#previous - (units - given));
    return units - given;
  }

  forget() {
    this.#current = 0;
    this.#previous = 0;
  }

  #roll(time: number) {
    const { window } = this.#policy;
    const start = time - (time % window);
    if (start === this.#start) return;
    this.#previous = start === this.#start + window ? this.#current : 0;
    this.#current = 0;
    this.#start = start;
  }
}

function reached(from: number, units: number, most: number): Reached {
  return { from, units, most, load: units / most, isViolation: units > most };
}

function contractOf(policy: CompiledPolicy): Contract {
  if (policy.algorithm === 'token-bucket') return new Bucket(policy);
  return policy.algorithm === 'fixed-window' ? new FixedWindow(policy) : new SlidingWindowCounter(policy);
}

/**
 * Replays all that was admitted under a policy, in the order of time, and says where it came nearest to the contract.
 *
 * A window keeps no account of its leases. So what is leased while it forgets its units, or while units are given back
 * that were spent before it began, may be spent on top of what it grants from then on: unless the replay is strict, those
 * units are none of the present contract.
 */
export function replay(
  policy: CompiledPolicy,
  admissions: readonly Admission[],
  changes: readonly Change[],
  isStrict = false,
): Worst | undefined {
  const contract = contractOf(policy);
  const hasAccount = isStrict || policy.algorithm === 'token-bucket';
  const ordered = [...admissions].sort((a, b) => a.time - b.time);
  let worst: Worst | undefined;
  let c = 0;
  let spare = 0;
  let until = 0;
  for (const { time, units, isLeased } of ordered) {
    for (; c < changes.length; c++) {
      const change = changes[c]!;
      // What begins with a grant begins before it.
      if (change.time > time || (change.time === time && !isBeginning(change))) break;
      spare = Math.min(change.leased, spareAfter(change));
      until = change.until;
    }
    let counted = units;
    if (isLeased && !hasAccount && time < until) {
      counted -= Math.min(spare, units);
      spare -= units - counted;
    }
    if (counted === 0) continue;
    const reached = contract.admit(time, counted);
    const isWorse = worst === undefined || reached.load > worst.load || (reached.isViolation && !worst.isViolation);
    if (isWorse) worst = { ...reached, to: time, nodes: [] };
  }
  return worst && { ...worst, nodes: nodesBetween(ordered, worst.from, worst.to) };

  function spareAfter({ time, what, leased }: Change): number {
    if (what === 'forgotten') {
      contract.forget(time);
      return leased;
    }
    if ('returned' in what) return spare + contract.giveBack(time, what.returned, what.at);
    contract.begin?.(time, what.windowEnds);
    return spare;
  }
}

function isBeginning({ what }: Change): boolean {
  return what !== 'forgotten' && 'windowEnds' in what;
}

function nodesBetween(admissions: readonly Admission[], from: number, to: number): readonly number[] {
  const nodes = admissions.filter(({ time }) => time >= from && time <= to).map(({ node }) => node);
  return [...new Set(nodes)].sort((a, b) => a - b);
}
