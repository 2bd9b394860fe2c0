import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { outcomes, sources } from './analytics/tally.js';
import type { Observation } from './decisions/decider.js';

/** What is looked at when metrics are asked for. */
export interface Gauges {
  /** State of each server of the store: 0 closed, 1 half-open, 2 open. */
  breakers(): Iterable<readonly [server: string, state: number]>;
  /** Keys of the embedded store; `undefined` with Redis. */
  keys(): number | undefined;
  evictions(): number | undefined;
  users(): number | undefined;
  configuration(): {
    readonly version: number;
    readonly reloads: number;
    readonly failures: number;
    /** Why it may be behind what is written; `undefined` where it is not. */
    readonly stale: object | undefined;
  };
}

/** How many decisions were of one kind. */
interface Decided {
  readonly labels: { readonly rule: string; readonly decision: string; readonly source: string };
  count: number;
}

const decisionBuckets = [0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1];

/** The metrics of the service, for Prometheus. No label is of a client's choosing. */
export class Metrics {
  readonly #registry = new Registry();
  readonly #decisions: Decided[] = [];
  /** Where those of a rule are, by outcome and source: to find a count by its labels takes as long as to decide. */
  readonly #decidedByRule = new Map<string, (Decided | undefined)[]>();
  readonly #near: Counter<'rule'>;
  readonly #decisionTime: Histogram;
  readonly #storeTime: Histogram;
  readonly #storeErrors: Counter;

  constructor(gauges: Gauges) {
    const registers = [this.#registry];
    collectDefaultMetrics({ register: this.#registry });
    const decisions = this.#decisions;
    new Counter({
      name: 'sluice_decisions_total',
      help: 'Decisions, by the rule that decided, whether it was allowed, refused or shadow-refused, and what decided.',
      labelNames: ['rule', 'decision', 'source'],
      registers,
      collect() {
        this.reset();
        for (const { labels, count } of decisions) this.inc(labels, count);
      },
    });
    this.#near = new Counter({
      name: 'sluice_near_limit_total',
      help: 'Requests that were allowed when at least 80 % of the limit was used.',
      labelNames: ['rule'],
      registers,
    });
    this.#decisionTime = new Histogram({
      name: 'sluice_decision_duration_seconds',
      help: 'Time from a check to its answer, within the service.',
      buckets: decisionBuckets,
      registers,
    });
    this.#storeTime = new Histogram({
      name: 'sluice_store_duration_seconds',
      help: 'Time that the store took to decide, including what answers in its stead where it fails.',
      buckets: decisionBuckets,
      registers,
    });
    this.#storeErrors = new Counter({
      name: 'sluice_store_errors_total',
      help: 'Decisions that were made without the store because it failed, and calls that failed for good.',
      registers,
    });
    this.#addGauges(gauges);
  }

  decided({ rule = 'default', outcome, source, near }: Observation): void {
    let ofRule = this.#decidedByRule.get(rule);
    if (ofRule === undefined) {
      ofRule = [];
      this.#decidedByRule.set(rule, ofRule);
    }
    const place = outcomes.indexOf(outcome) * sources.length + sources.indexOf(source);
    let decided = ofRule[place];
    if (decided === undefined) {
      decided = { labels: { rule, decision: outcome, source }, count: 0 };
      ofRule[place] = decided;
      this.#decisions.push(decided);
    }
    decided.count++;
    if (near) this.#near.inc({ rule });
    if (source === 'fallback' || source === 'open' || source === 'closed') this.#storeErrors.inc();
  }

  /** Forgets what was counted of rules that there are no more. */
  keep(rules: { has(id: string): boolean }): void {
    for (const rule of this.#decidedByRule.keys()) {
      if (rule === 'default' || rules.has(rule)) continue;
      this.#decidedByRule.delete(rule);
      this.#near.remove({ rule });
    }
    const left = this.#decisions.filter(({ labels }) => this.#decidedByRule.has(labels.rule));
    this.#decisions.splice(0, this.#decisions.length, ...left);
  }

  /** Seconds. */
  decisionTook(seconds: number): void {
    this.#decisionTime.observe(seconds);
  }

  storeTook(seconds: number, failed: boolean): void {
    this.#storeTime.observe(seconds);
    if (failed) this.#storeErrors.inc();
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  text(): Promise<string> {
    return this.#registry.metrics();
  }

  #addGauges({ breakers, keys, evictions, users, configuration }: Gauges): void {
    const registers = [this.#registry];
    const gauge = (name: string, help: string, read: () => number | undefined) => {
      new Gauge({
        name,
        help,
        registers,
        collect() {
          const value = read();
          // What is not known is no 0.
          if (value === undefined) this.remove();
          else this.set(value);
        },
      });
    };
    const counter = (name: string, help: string, read: () => number) => {
      new Counter({
        name,
        help,
        registers,
        collect() {
          this.reset();
          this.inc(read());
        },
      });
    };
    new Gauge({
      name: 'sluice_breaker_state',
      help: 'State of the circuit to each server of the store: 0 closed, 1 half-open, 2 open.',
      labelNames: ['server'],
      registers,
      collect() {
        this.reset();
        for (const [server, state] of breakers()) this.set({ server }, state);
      },
    });
    if (keys() !== undefined) {
      gauge('sluice_keys', 'Keys that the embedded store keeps, counted per policy.', keys);
      counter(
        'sluice_evictions_total',
        'Keys that were forgotten before their time because the embedded store was full.',
        () => evictions() ?? 0,
      );
    }
    gauge('sluice_users', 'Users that the service knows.', users);
    gauge('sluice_configuration_version', 'Version of the rules and lists in force.', () => configuration().version);
    counter(
      'sluice_configuration_reloads_total',
      'Times that rules and lists were read anew.',
      () => configuration().reloads,
    );
    counter('sluice_configuration_failures_total', 'Times that they could not be.', () => configuration().failures);
    gauge('sluice_configuration_stale', '1 while they may be behind what is written.', () =>
      Number(configuration().stale !== undefined),
    );
  }
}
