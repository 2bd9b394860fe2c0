import { micros } from '../../packages/core/src/duration.ts';
import type { CompiledPolicy } from '../../packages/core/src/index.ts';
import type { World } from './connection.ts';
import { type Admission, replay, type Worst } from './contract.ts';
import { type Granted, Node } from './node.ts';
import { Random } from './random.ts';
import { type Scenario, scenarioOf, type Wishes } from './scenario.ts';
import { Server } from './server.ts';
import type { Switches } from './switches.ts';
import { Timeline } from './timeline.ts';
import { Trace } from './trace.ts';

export interface SimulationOptions extends Wishes {
  readonly switches?: Switches;
  /** See `replay`. */
  readonly isStrict?: boolean;
  /** Keeps the trace as text. */
  readonly isTraced?: boolean;
}

/** A Run is what a simulation has come to. */
export interface Run {
  readonly seed: number;
  readonly scenario: Scenario;
  /** Per policy, where the run came nearest to the contract; nothing where nothing was granted. */
  readonly worst: readonly (Worst | undefined)[];
  /** What is wrong with the run: units beyond the contract, or units that nobody has taken from the store. */
  readonly violations: readonly string[];
  /** Units granted by the store and from leases, of the first policy. */
  readonly units: { readonly store: number; readonly lease: number };
  readonly grants: { readonly store: number; readonly lease: number };
  /** Units of the first policy that the store has handed out to be granted by nodes. */
  readonly leased: number;
  readonly hash: number;
  readonly trace: readonly string[];
}

/** Plays what a seed stands for, and holds all that was granted in it to the contract. */
export async function simulate(seed: number, options: SimulationOptions = {}): Promise<Run> {
  const { switches = {}, isTraced = false, isStrict = false } = options;
  const random = new Random(seed);
  const scenario = scenarioOf(random, options);
  const { policies, start, duration } = scenario;
  const timeline = new Timeline(start - policies[0]!.window);
  const server = new Server(policies, switches);
  const trace = new Trace(start, isTraced);
  const world: World = { timeline, random, server, network: scenario.network, trace, switches };

  const granted: Granted[] = [];
  const nodes: Node[] = [];
  const tell = (one: Granted) => granted.push(one);
  for (const i of scenario.nodes.keys()) nodes.push(new Node(world, scenario, i, nodes, tell));
  for (const { at, node, part } of scenario.gulps) timeline.at(start + at, () => nodes[node]!.gulp(part));
  for (const at of scenario.resets) timeline.at(start + at, () => nodes[0]!.reset());
  // What is under way at the end is still to be answered.
  await timeline.pass(start + duration + 3_000 * scenario.network.deadline);

  const violations: string[] = [];
  const worst = policies.map((policy, i) => {
    const admissions = granted.map((one) => admissionOf(one, i));
    const nearest = replay(policy, admissions, server.of(policy).changes, isStrict);
    if (nearest?.isViolation) violations.push(shown(policy.id, nearest, start));
    violations.push(...unaccounted(admissions, server, policy));
    return nearest;
  });
  const units = { store: 0, lease: 0 };
  const grants = { store: 0, lease: 0 };
  for (const one of granted) {
    const by = one.decisions[0]!.source === 'lease' ? 'lease' : 'store';
    units[by] += one.units;
    grants[by]++;
  }
  return {
    seed,
    scenario,
    worst,
    violations,
    units,
    grants,
    leased: server.of(policies[0]!).leased,
    hash: trace.hash,
    trace: trace.lines,
  };
}

/** The store grants when it decides, by its clock, which is the true time; a node when it decides. */
function admissionOf({ node, units, time, decisions }: Granted, policy: number): Admission {
  const { source, at } = decisions[policy]!;
  const isLeased = source === 'lease';
  return { time: isLeased ? time : micros(at), units, node, isLeased };
}

/** Units that were granted, but were not taken: at the instant of a decision of the store, or from leases in all. */
function unaccounted(admissions: readonly Admission[], server: Server, policy: CompiledPolicy): readonly string[] {
  const { decided, leased } = server.of(policy);
  const byInstant = new Map<number, number>();
  let spent = 0;
  for (const { time, units, isLeased } of admissions) {
    if (isLeased) spent += units;
    else byInstant.set(time, (byInstant.get(time) ?? 0) + units);
  }
  const wrong: string[] = [];
  for (const [time, units] of byInstant) {
    const taken = decided.get(time) ?? 0;
    if (units > taken) wrong.push(`The store decided on ${taken} units at ${time}; callers were granted ${units}.`);
  }
  if (spent > leased) wrong.push(`${leased} units were leased, and ${spent} granted from leases.`);
  return wrong;
}

function shown(policy: string, { from, to, units, most, nodes }: Worst, start: number): string {
  const instant = (time: number) => `${(Math.max(0, time - start) / 1_000).toFixed(3)} ms`;
  return (
    `${policy}: ${units} units from ${instant(from)} to ${instant(to)}, where ${most} are the most; ` +
    `nodes ${nodes.join(', ')}.`
  );
}
