import type { Charge, CompiledPolicy, Decision, Known, Leased, LeaseRequest, Refund, Store } from '@sluice/core';
import { Coalescing } from './coalescing.js';
import { type Question, Questions, type Subject } from './question.js';
import { decisionsOf, leasedOf } from './reply.js';
import type { ScriptRunner } from './script-runner.js';
import type { StoreKeys } from './store-keys.js';
import type { Topology } from './topology.js';

type Ask = 'consume' | 'peek';

/** A ScriptStore decides in Redis, in one step per decision, and fails as Redis does. */
export class ScriptStore implements Store {
  readonly #runner: ScriptRunner;
  readonly #keys: StoreKeys;
  readonly #topology: Topology;
  readonly #calls: Coalescing;
  readonly #questions = new Questions();
  /** One that waits for a connection is the answer to those that are asked for meanwhile. */
  readonly #probes = new Map<string, Promise<unknown>>();

  constructor(runner: ScriptRunner, keys: StoreKeys, topology: Topology) {
    this.#runner = runner;
    this.#keys = keys;
    this.#topology = topology;
    this.#calls = new Coalescing(runner);
  }

  consume(charges: readonly Charge[]): Promise<readonly Decision[]> {
    const parts = this.#partsOf(charges);
    return parts === undefined ? this.#ask('consume', charges) : this.#consumeInOrder(charges, parts);
  }

  async peek(charges: readonly Charge[]): Promise<readonly Decision[]> {
    const parts = this.#partsOf(charges);
    if (parts === undefined) return this.#ask('peek', charges);
    const answers = await Promise.all(parts.map((part) => this.#ask('peek', part)));
    return inOrderOf(charges, parts, answers);
  }

  async release(refunds: readonly Refund[]): Promise<void> {
    const parts = this.#partsOf(refunds) ?? [refunds];
    await Promise.all(parts.map((part) => this.#run(this.#questions.release(part), part, () => {})));
  }

  async reset(key: string, policies: readonly CompiledPolicy[]): Promise<void> {
    if (policies.length === 0) return;
    const subjects = policies.map((policy) => ({ policy, key }));
    await this.#run(this.#questions.reset(subjects), subjects, () => {});
  }

  lease(request: LeaseRequest): Promise<Leased> {
    const question = this.#questions.lease(request);
    return this.#run(question, [request], (reply, at) => leasedOf(request, reply, at));
  }

  async lower(known: readonly Known[]): Promise<void> {
    const parts = this.#partsOf(known) ?? [known];
    await Promise.all(parts.map((part) => this.#run(this.#questions.lower(part), part, () => {})));
  }

  #ask(operation: Ask, charges: readonly Charge[], until?: number): Promise<readonly Decision[]> {
    const question = this.#questions[operation](charges);
    return this.#run(question, charges, (reply, at) => decisionsOf(charges, reply, at), until);
  }

  /**
   * Looks at all parts of a cluster at once, and if all grant, takes from one after the other: always in this order, so
   * that of two requests in each other's way one gets through. Where a part refuses then after all, those before it are
   * given back what they were charged. Meanwhile others may be refused that, and never is anybody granted too much.
   * Should a part fail, no units of a limit are given back: it may have been charged, too.
   */
  async #consumeInOrder(charges: readonly Charge[], parts: Parts<Charge>): Promise<readonly Decision[]> {
    const until = this.#runner.due();
    const answers = await Promise.all(parts.map((part) => this.#ask('peek', part, until)));
    if (answers.some((answer) => answer.some(({ allowed }) => !allowed))) {
      return this.#refuse(charges, inOrderOf(charges, parts, answers), until);
    }
    for (const [p, part] of parts.entries()) {
      try {
        answers[p] = await this.#ask('consume', part, until);
      } catch (error) {
        this.#freePlaces(parts.slice(0, p), answers);
        throw error;
      }
      if (!part.some((charge, i) => refuses(charge, answers[p]![i]!))) continue;
      const before = parts.slice(0, p);
      const refunds = before.flatMap((earlier, e) => refundsOf(earlier, answers[e]!));
      // What cannot be given back is lost: the request is refused all the same.
      if (refunds.length > 0) await this.release(refunds).catch(() => {});
      const seen = await Promise.all(before.map((earlier) => this.#ask('peek', earlier, until)));
      return inOrderOf(charges, parts, [...seen, ...answers.slice(p)]);
    }
    return inOrderOf(charges, parts, answers);
  }

  /** Places among the requests at work go back even then: nobody else would free them, for as long as their timeout. */
  #freePlaces(parts: Parts<Charge>, answers: Parts<Decision>): void {
    const places = parts.flatMap((part, p) => refundsOf(part, answers[p]!)).filter(({ policy }) => policy.borrowed);
    if (places.length > 0) this.release(places).then(undefined, () => {});
  }

  /** Charges what a refusal does not spare: what counts refused requests too, and blocks that it starts anew. */
  async #refuse(charges: readonly Charge[], seen: readonly Decision[], until: number): Promise<readonly Decision[]> {
    const counting = charges.filter(
      ({ policy, cost }, i) => policy.countRefused || (isBreach({ policy, cost }) && !seen[i]!.allowed),
    );
    if (counting.length === 0) return seen;
    const parts = this.#partsOf(counting) ?? [counting];
    const counted = inOrderOf(
      counting,
      parts,
      await Promise.all(parts.map((part) => this.#ask('consume', part, until))),
    );
    return charges.map((charge, i) => counted[counting.indexOf(charge)] ?? seen[i]!);
  }

  /** Finds out whether that server takes writes: a write of no consequence, in the slot of a key that it keeps. */
  probe(server: string): Promise<unknown> {
    let probe = this.#runner.isConnected ? undefined : this.#probes.get(server);
    if (probe === undefined) {
      probe = this.#runner.probe(server, this.#keys.probe(this.#topology.keyOn(server)));
      this.#probes.set(server, probe);
      const done = () => this.#probes.delete(server);
      probe.then(done, done);
    }
    return probe;
  }

  close(): void {
    this.#runner.close();
  }

  /** What may have been lost with a connection is not asked of the next one. */
  abandon(): void {
    this.#calls.abandon();
  }

  #run<T>(
    question: Question,
    subjects: readonly Subject[],
    read: (reply: readonly number[], at: number) => T,
    until = this.#runner.due(),
  ): Promise<T> {
    const [{ policy, key }] = subjects as readonly [Subject];
    // Most calls are about one key.
    const keys =
      subjects.length === 1 ? [this.#keys.of(policy, key)] : subjects.map((one) => this.#keys.of(one.policy, one.key));
    const part = this.#topology.partOf(key);
    const server = this.#topology.serverOf(key);
    return new Promise((resolve, reject) => {
      const settle = (reply: readonly number[], at: number) => resolve(read(reply, at));
      this.#calls.run({ question, keys, part, server, until, resolve: settle, reject });
    });
  }

  /** What one script reaches at a time, in the order in which it is named; `undefined` where one reaches all of it. */
  #partsOf<T extends { readonly key: string }>(charges: readonly T[]): Parts<T> | undefined {
    const { key } = charges[0]!;
    // Most often all policies are of one key, or one server keeps all keys.
    if (!this.#topology.isSpread || charges.every((charge) => charge.key === key)) return undefined;
    const parts = new Map<number, T[]>();
    for (const charge of charges) {
      const part = this.#topology.partOf(charge.key);
      const together = parts.get(part);
      if (together === undefined) parts.set(part, [charge]);
      else together.push(charge);
    }
    return parts.size > 1 ? [...parts.values()] : undefined;
  }
}

type Parts<T> = readonly (readonly T[])[];

/** Whether a charge stands in the way of the others. A breach is recorded whatever comes of it. */
function refuses(charge: Charge, { allowed }: Decision): boolean {
  return !allowed && !isBreach(charge);
}

function isBreach({ policy, cost }: Pick<Charge, 'policy' | 'cost'>): boolean {
  return policy.algorithm === 'penalty' && cost > 0;
}

/** What a part was charged for a request that another one refuses: not what counts refused requests too. */
function refundsOf(charges: readonly Charge[], answers: readonly Decision[]): readonly Refund[] {
  return charges
    .map((charge, i) => ({ ...charge, at: answers[i]!.at }))
    .filter(({ policy, cost }) => cost > 0 && !policy.countRefused && policy.algorithm !== 'penalty');
}

function inOrderOf<T>(charges: readonly T[], parts: Parts<T>, answers: readonly (readonly Decision[])[]): Decision[] {
  const decisions = new Map<T, Decision>();
  for (const [p, part] of parts.entries())
    for (const [i, charge] of part.entries()) decisions.set(charge, answers[p]![i]!);
  return charges.map((charge) => decisions.get(charge)!);
}
