import {
  type Charge,
  type Clock,
  type CompiledPolicy,
  type Decision,
  type Leased,
  type LeaseRequest,
  type Refund,
  SluiceError,
  type Store,
} from '../../packages/core/src/index.ts';
import type { Random } from './random.ts';
import type { NetworkPlan } from './scenario.ts';
import type { Server } from './server.ts';
import type { Switches } from './switches.ts';
import type { Timeline } from './timeline.ts';
import type { Trace } from './trace.ts';

/** What a connection needs of the node at this end of it. */
export interface End {
  readonly index: number;
  readonly clock: Clock;
  /** Runs something at that instant, or when the node is no longer paused; never, if it has crashed by then. */
  at(time: number, run: () => void): void;
  /** Has received a lease that was asked for at `sent` and ends at `ends`, by the true time, if its clock is right. */
  leased(units: number, sent: number, ends: number): void;
}

export interface World {
  readonly timeline: Timeline;
  readonly random: Random;
  readonly server: Server;
  readonly network: NetworkPlan;
  readonly trace: Trace;
  readonly switches: Switches;
}

/**
 * A Connection is the store as a node sees it. Messages are delayed, each by itself, so that they overtake one another;
 * they are lost, and requests and replies come twice, but for what gives units back: a store sees to it that this is
 * done once at the most.
 */
export class Connection implements Store {
  readonly #world: World;
  readonly #end: End;
  /** When the units were truly spent that the next `release` gives back. */
  spentAt: number | undefined;

  constructor(world: World, end: End) {
    this.#world = world;
    this.#end = end;
  }

  consume(charges: readonly Charge[]): Promise<readonly Decision[]> {
    const { server } = this.#world;
    return this.#call('consume', charges[0]!.cost, () => server.consume(charges));
  }

  peek(charges: readonly Charge[]): Promise<readonly Decision[]> {
    return this.#call('peek', 0, () => this.#world.server.peek(charges));
  }

  async lease(request: LeaseRequest): Promise<Leased> {
    const { clock } = this.#end;
    const { switches, server, timeline } = this.#world;
    const sent = clock.now();
    const begun = timeline.now;
    const leased = await this.#call('lease', request.demand + request.extra, () => server.lease(request));
    let { lasts } = leased;
    if (lasts > 0 && switches.fromReceipt) lasts += (clock.now() - sent) / 1_000;
    if (lasts > 0 && switches.noMargin) lasts /= 0.99;
    if (lasts > 0) this.#end.leased(leased.units - request.demand, begun, begun + lasts * 1_000);
    return { ...leased, lasts };
  }

  release(refunds: readonly Refund[]): Promise<void> {
    const { spentAt } = this;
    if (spentAt === undefined) throw new Error('A release must reach the connection before its caller goes on.');
    this.spentAt = undefined;
    return this.#call('release', refunds[0]!.cost, () => this.#world.server.release(refunds, spentAt), false);
  }

  reset(_key: string, policies: readonly CompiledPolicy[]): Promise<void> {
    return this.#call('reset', 0, () => this.#world.server.reset(policies));
  }

  #call<T>(what: string, units: number, run: () => T, canRepeat = true): Promise<T> {
    const { timeline, random, server, network, trace } = this.#world;
    const { index } = this.#end;
    timeline.touch();
    return new Promise((resolve, reject) => {
      let isOver = false;
      const reply = (answer: T) => {
        if (isOver) return;
        isOver = true;
        timeline.touch();
        resolve(answer);
      };
      const request = () => {
        if (random.chance(network.lost)) return trace.note(timeline.now, index, `loses the request ${what}`, units);
        timeline.at(timeline.now + this.#delay(), () => {
          const now = server.arrive(timeline.now);
          const answer = run();
          trace.note(now, -1, `${what} of node ${index}`, units, (answer as Partial<Leased> | undefined)?.units);
          for (let i = canRepeat && random.chance(network.repeated) ? 2 : 1; i > 0; i--) {
            if (!random.chance(network.lost)) this.#end.at(now + this.#delay(), () => reply(answer));
          }
        });
      };
      request();
      if (canRepeat && random.chance(network.repeated)) request();
      this.#end.clock.after(network.deadline, () => {
        if (isOver) return;
        isOver = true;
        trace.note(timeline.now, index, `waits no more for ${what}`, units);
        timeline.touch();
        reject(new SluiceError('STORE_TIMEOUT', 'The simulated store has not answered in time.'));
      });
    });
  }

  #delay(): number {
    const { random, network } = this.#world;
    const slow = random.chance(network.slow) ? random.next() * network.slowest : 0;
    return network.least + random.wait(network.jitter) + slow;
  }
}
