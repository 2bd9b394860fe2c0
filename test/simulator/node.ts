import { combine } from '../../packages/core/src/decision.ts';
import { micros } from '../../packages/core/src/duration.ts';
import {
  type Charge,
  type Clock,
  type Decision,
  isPromise,
  Leases,
  type MaybePromise,
  type Refund,
  SluiceError,
  type Store,
} from '../../packages/core/src/index.ts';
import { Connection, type End, type World } from './connection.ts';
import type { NodePlan, Scenario } from './scenario.ts';

/** A Granted is what a caller at a node was told: one decision per policy. */
export interface Granted {
  readonly node: number;
  readonly units: number;
  readonly time: number;
  readonly decisions: readonly Decision[];
}

const key = 'everybody';
/** Enough for a key to be leased at once. */
const rush = 160;

/** Passes on whatever else than a lack of an answer has gone wrong, so that it fails the test. */
function unanswered(error: unknown): void {
  if (!(error instanceof SluiceError && error.code === 'STORE_TIMEOUT')) throw error;
}

/** A Node is a process that asks for units of one key: with a clock of its own, and leases unless it has none. */
export class Node implements End {
  readonly index: number;
  readonly clock: Clock;
  readonly #world: World;
  readonly #scenario: Scenario;
  readonly #plan: NodePlan;
  readonly #end: number;
  readonly #tell: (granted: Granted) => void;
  readonly #others: readonly Node[];
  readonly #connection: Connection;
  #store: Store;
  #life = 0;
  #pausedUntil = 0;
  /** The largest grant of which nothing is given back yet. */
  #kept: Granted | undefined;

  /** `others` are the nodes of the fleet. */
  constructor(
    world: World,
    scenario: Scenario,
    index: number,
    others: readonly Node[],
    tell: (granted: Granted) => void,
  ) {
    this.#world = world;
    this.#scenario = scenario;
    this.index = index;
    this.#plan = scenario.nodes[index]!;
    this.#end = scenario.start + scenario.duration;
    this.#tell = tell;
    this.#others = others;
    const { timeline } = world;
    const { offset, rate } = this.#plan;
    const { start } = scenario;
    this.clock = {
      now: () => Math.floor(start + offset + (timeline.now - start) * rate),
      after: (ms, run) => {
        let isCancelled = false;
        this.at(timeline.now + (ms * 1_000) / rate + 1, () => {
          if (isCancelled) return;
          timeline.touch();
          run();
        });
        return () => {
          isCancelled = true;
        };
      },
    };
    this.#connection = new Connection(world, this);
    this.#store = this.#begun();
    this.#arrive(start);
    for (const { at } of scenario.attack.rushes.filter(({ node }) => node === index)) {
      if (at >= 0)
        this.at(start + at, () => {
          for (let i = 0; i < rush; i++) this.#request(1);
        });
    }
    for (const { at, lasts } of this.#plan.pauses) timeline.at(start + at, () => this.#pause(lasts));
    for (const at of this.#plan.crashes) timeline.at(start + at, () => this.#crash());
  }

  at(time: number, run: () => void, life = this.#life): void {
    this.#world.timeline.at(time, () => {
      if (life !== this.#life) return;
      if (this.#world.timeline.now < this.#pausedUntil) this.at(this.#pausedUntil, run, life);
      else run();
    });
  }

  /** Takes a part of what is left, and if that is all, what is left then, until nothing is. */
  gulp(part: number): void {
    this.#world.timeline.touch();
    this.#gulp(part).catch(unanswered);
  }

  /** Gives the largest of its grants back. */
  giveBackMost(): void {
    if (this.#kept !== undefined) this.#giveBack(this.#kept, this.#kept.units);
    this.#kept = undefined;
  }

  /** Attacks the contract at the end of the lease, if the scenario wants it. */
  leased(units: number, sent: number, ends: number): void {
    const { timeline, random, server } = this.#world;
    const { attack, network } = this.#scenario;
    if (attack.part === 0 || !random.chance(attack.part) || timeline.now >= this.#end) return;
    const time = ends - sent;
    const last = sent + time * random.pick([random.between(0.5, 1), random.between(0.97, 1), random.between(1, 1.006)]);
    const gulps = [
      last - network.least * random.between(1, 8),
      random.between(last, last + 1.2 * time),
      server.reservedUntil - network.least * random.between(-1, 3),
    ];
    const spend = random.pick([0.49, 1, 2]);
    const other = random.pick(this.#others);
    const gulped = random.pick(gulps);
    if (random.chance(0.3)) other.at(gulped - network.least * random.between(0, 5), () => other.giveBackMost());
    other.at(gulped, () => other.gulp(1));
    this.at(last, () => {
      // Less than half of a lease, lest another one be asked for; or all of it; or all and more.
      const spent = Math.floor(units * spend);
      const cost = Math.ceil(spent / attack.requests);
      for (let left = spent; left > 0; left -= cost) this.#request(Math.min(left, cost));
    });
  }

  reset(): void {
    const { policies } = this.#scenario;
    const done = this.#store.reset(key, policies);
    if (isPromise(done)) done.then(undefined, unanswered);
  }

  #begun(): Store {
    const { share, nodes } = this.#scenario;
    if (!this.#plan.hasLeases) return this.#connection;
    return new Leases(this.#connection, {
      lessor: this.#connection,
      instances: nodes.length,
      share,
      clock: this.clock,
    });
  }

  #pause(lasts: number): void {
    const { timeline, trace } = this.#world;
    this.#pausedUntil = Math.max(this.#pausedUntil, timeline.now + lasts);
    trace.note(timeline.now, this.index, 'is paused for µs', lasts);
  }

  #crash(): void {
    const { timeline, trace } = this.#world;
    this.#life++;
    this.#pausedUntil = 0;
    this.#store = this.#begun();
    this.#arrive(timeline.now);
    trace.note(timeline.now, this.index, 'crashes', 0);
  }

  /** Plans the arrivals, one after the other. */
  #arrive(from: number): void {
    const { random } = this.#world;
    const { gap, phase, burst } = this.#plan.demand;
    let time = from + random.wait(gap);
    // Of two phases that follow one another, nobody comes in the second.
    if (phase > 0 && Math.floor(time / phase) % 2 === 1) time = (Math.floor(time / phase) + 1 + random.next()) * phase;
    if (time >= this.#end) return;
    this.at(time, () => {
      for (let i = random.integer(1, burst); i > 0; i--) this.#request(this.#cost());
      this.#arrive(this.#world.timeline.now);
    });
  }

  #cost(): number {
    const { random } = this.#world;
    const { weight, heavy } = this.#plan.demand;
    return heavy > 0 && random.chance(heavy) ? random.integer(1, weight) : 1;
  }

  #request(cost: number): void {
    this.#answered(this.#store.consume(this.#charges(cost)), cost);
  }

  #charges(cost: number): readonly Charge[] {
    return this.#scenario.policies.map((policy) => ({ policy, key, cost }));
  }

  #answered(answer: MaybePromise<readonly Decision[]>, cost: number): void {
    if (!isPromise(answer)) {
      this.#note(answer, cost);
      return;
    }
    this.#world.timeline.touch();
    const life = this.#life;
    answer.then(
      (decisions) => {
        if (life === this.#life) this.#note(decisions, cost);
      },
      (error: unknown) => {
        unanswered(error);
        this.#world.trace.note(this.#world.timeline.now, this.index, 'is not answered', cost);
      },
    );
  }

  #note(decisions: readonly Decision[], units: number): void {
    const { timeline, trace, random } = this.#world;
    const { source } = decisions[0]!;
    if (!decisions.every(({ allowed }) => allowed)) {
      trace.note(timeline.now, this.index, 'is refused', units);
      return;
    }
    const time = timeline.now;
    trace.note(time, this.index, source === 'lease' ? 'grants from its lease' : 'is granted', units);
    const granted = { node: this.index, units, time, decisions };
    this.#tell(granted);
    if (random.chance(this.#plan.demand.returned)) {
      const { network, duration } = this.#scenario;
      const after = random.chance(0.5) ? network.least * 4 : duration / 4;
      this.at(time + random.wait(after), () => this.#giveBack(granted, random.integer(1, units)));
    } else if (this.#kept === undefined || units >= this.#kept.units) this.#kept = granted;
  }

  /** Gives units back as a limiter does: with the instant of the decision that governs, or without one. */
  #giveBack({ decisions, time }: Granted, units: number): void {
    const { at, source } = combine(decisions);
    const isNamed = this.#world.random.chance(0.5);
    const refunds = this.#charges(units).map((charge): Refund => ({ ...charge, at: isNamed ? at : undefined }));
    this.#connection.spentAt = source === 'lease' ? time : micros(at);
    const done = this.#store.release(refunds);
    if (isPromise(done)) done.then(undefined, unanswered);
  }

  async #gulp(part: number): Promise<void> {
    const looked = await this.#connection.peek(this.#charges(0));
    let cost = Math.floor(Math.min(...looked.map(({ remaining }) => remaining)) * part);
    for (let i = 0; i < 4 && cost > 0; i++) {
      const decisions = await this.#connection.consume(this.#charges(cost));
      const isGranted = decisions.every(({ allowed }) => allowed);
      if (isGranted) this.#note(decisions, cost);
      if (isGranted && part < 1) return;
      cost = Math.min(...decisions.map(({ remaining }) => remaining));
    }
  }
}
