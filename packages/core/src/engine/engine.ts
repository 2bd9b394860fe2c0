import { claim, describe, isSame } from '../claims.js';
import type { Clock } from '../clock.js';
import type { Decision } from '../decision.js';
import { messageOf, SluiceError, show } from '../errors.js';
import type { RateLimitOptions } from '../http/options.js';
import type { Reader } from '../http/reader.js';
import type { Lists } from '../identity/access-list.js';
import { Identifier } from '../identity/identifier.js';
import { Overrides } from '../identity/overrides.js';
import { MemoryStore } from '../memory/memory-store.js';
import { checkNames } from '../options.js';
import { compilePenalty } from '../penalty.js';
import type { CompiledPolicy } from '../policy.js';
import { checkStoreErrorMode, type StoreErrorMode } from '../resilience/outage-options.js';
import { withStoreErrors } from '../resilience/store-errors.js';
import { type RuleContext, RuleSet } from '../rules/rule-set.js';
import { checkStore, type Store } from '../store.js';
import { percentOf } from './enforcement.js';
import { Judge } from './judgement.js';
import { type Line, lineOf } from './line.js';
import { OverriddenLimits } from './overridden.js';
import { checkKeySource, Planner } from './planner.js';
import { Quota } from './quota.js';
import { Screen } from './screen.js';

/** Policies that a store is asked about in one call: requests do not wait for more. */
const atOnce = 256;

/** An Engine is what the options of a limiter come to, but for HTTP: who is limited, by which policies, in which store. */
export class Engine<R> {
  readonly store: Store;
  readonly planner: Planner<R>;
  readonly judge: Judge;
  /** What bans a client from everything: of limiters that belong together, one and the same. */
  readonly ban: Line | undefined;
  /** Whether there are only limits and ceilings, as in most limiters. */
  readonly isPlain: boolean;
  readonly #identifier: Identifier<R>;
  readonly #quotas: readonly Quota<R>[];
  readonly #overrides: OverriddenLimits | undefined;
  readonly #ownsStore: boolean;
  readonly #unclaim: () => void;
  #closed = false;

  constructor(
    reader: Reader<R>,
    options: RateLimitOptions<R, never>,
    clock: Clock,
    warn: (message: string) => void,
    ban?: Line,
  ) {
    const { name, penalty, cost } = options;
    checkKeySource(options.key, "rateLimit: 'key'");
    this.#identifier = new Identifier(reader, options.identity, warn);
    const { ceiling } = this.#identifier;
    const tiers = tiersOf(options);
    const { defaultTier } = options;
    const percent = percentOf(options, 'rateLimit', 100);
    const screenOf = (lists: Lists, where: string, rule?: string) =>
      new Screen(lists, this.#identifier, clock, where, rule);
    const context: RuleContext<R> = {
      name,
      algorithm: options.algorithm,
      percent,
      cost,
      penalty,
      ceiling,
      tiers,
      defaultTier,
      screenOf,
    };
    const others = new Quota<R>(options, {
      ...context,
      where: 'rateLimit',
      rule: undefined,
      by: undefined,
      screen: undefined,
    });
    const rules = new RuleSet(reader, options.rules === undefined ? [] : options.rules, others, context);
    this.#quotas = rules.quotas();
    this.ban = ban ?? banOf(penalty, name ?? 'default');
    const overrides = overridesOf(options.overrides, clock);
    overrides?.attach((key) => this.#identifier.canonical(key));
    this.#overrides = overrides && new OverriddenLimits(overrides, name, { block: others.block, ceiling });
    const punishes = this.ban !== undefined || this.#quotas.some(({ block }) => block !== undefined);
    this.isPlain = !punishes && this.#quotas.every(({ slot }) => slot === undefined);
    this.planner = new Planner({
      identifier: this.#identifier,
      key: options.key,
      screen: options.lists === undefined ? undefined : screenOf(options.lists, 'lists'),
      rules,
      overrides: this.#overrides,
      tier: options.tier,
      tiers,
      defaultTier,
      ban: this.ban,
    });
    const store = options.store === undefined ? new MemoryStore({ clock }) : options.store;
    checkStore(store, 'rateLimit');
    this.#ownsStore = options.store === undefined;
    this.#unclaim = claim(store, this.policies(), 'rateLimit');
    this.store = answering(store, options.onStoreError, clock, warn);
    const lost = (error: unknown) => warn(`A breach could not be recorded: ${messageOf(error)}`);
    this.judge = new Judge(this.store, this.ban, { punishes, isPlain: this.isPlain }, lost);
  }

  /** Every policy under which state is kept, but for those of overrides. */
  policies(): readonly CompiledPolicy[] {
    const lines = this.#quotas.flatMap((quota) => quota.lines());
    if (this.ban !== undefined) lines.push(this.ban);
    const policies = new Map<string, CompiledPolicy>();
    for (const { policy } of lines) {
      const other = policies.get(policy.id);
      // Rules of one group share theirs.
      if (other === undefined || isSame(policy, other)) policies.set(policy.id, policy);
      else {
        throw new SluiceError(
          'DUPLICATE_POLICY',
          `rateLimit: two of its policies are called '${policy.name}' (${describe(policy)} and ${describe(other)}). ` +
            "Give a rule, or the limiter, another 'name', or the tier a different one.",
        );
      }
    }
    return [...policies.values()];
  }

  /** The state of the policies that is not fresh, or of all. */
  async get(name: string | readonly string[], all: boolean): Promise<readonly Decision[]> {
    this.#checkOpen();
    const { key, policies } = this.#stateOf(name);
    const decisions: Decision[] = [];
    for (let i = 0; i < policies.length; i += atOnce) {
      // Of all of them it is asked whether they would grant anything.
      const charges = policies.slice(i, i + atOnce).map((policy) => ({ policy, key, cost: all ? 1 : 0 }));
      decisions.push(...(await this.store.peek(charges)));
    }
    return all ? decisions : decisions.filter(({ resetAfter, allowed }) => resetAfter > 0 || !allowed);
  }

  async reset(name: string | readonly string[]): Promise<void> {
    this.#checkOpen();
    const { key, policies } = this.#stateOf(name);
    await this.store.reset(key, policies);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#unclaim();
    if (this.#ownsStore) await this.store.close?.();
  }

  #stateOf(name: string | readonly string[]): { key: string; policies: readonly CompiledPolicy[] } {
    const key = this.#identifier.canonical(name);
    const overridden = this.#overrides?.find(key)?.own ?? [];
    const ceilings = this.#overrides?.ceilings ?? [];
    return { key, policies: [...this.policies(), ...overridden.map(({ policy }) => policy), ...ceilings] };
  }

  #checkOpen(): void {
    if (this.#closed) throw new SluiceError('CLOSED', 'This limiter has been closed.');
  }
}

/** The store, answering so where it fails. */
function answering(
  store: Store,
  mode: StoreErrorMode | undefined,
  clock: Clock,
  warn: (message: string) => void,
): Store {
  // What is not said is up to a store that answers for itself; any other fails.
  if (mode === undefined) return store;
  checkStoreErrorMode(mode);
  if (store.answering !== undefined) return store.answering(mode);
  return withStoreErrors(store, {
    mode,
    clock,
    report: (error, failures) => warn(failureOf(error, failures, mode)),
  });
}

const outcomes: Readonly<Record<StoreErrorMode, string>> = {
  throw: 'requests fail',
  allow: 'requests pass unlimited',
  deny: 'requests are refused',
  fallback: 'this process limits on its own',
};

function failureOf(error: unknown, failures: number, mode: StoreErrorMode): string {
  const times = failures === 1 ? '' : ` ${failures} times since the last report`;
  return `The store has failed${times}, and ${outcomes[mode]}: ${messageOf(error)}`;
}

function banOf(penalty: RateLimitOptions<unknown>['penalty'], name: string): Line | undefined {
  const ban = penalty === undefined ? undefined : compilePenalty(penalty, "rateLimit: 'penalty'", name).ban;
  return ban && lineOf(ban, 'ban');
}

/** @throws SluiceError `INVALID_OPTION` for tiers that nobody could belong to, and for a choice without tiers. */
function tiersOf<R>({ tiers, tier, defaultTier, rules }: RateLimitOptions<R, never>): readonly string[] {
  const list = Array.isArray(rules) ? rules : [];
  const divided = list.flatMap((rule) => Object.keys(rule?.tiers ?? {}));
  const single = list.flatMap((rule) => (typeof rule?.tier === 'string' ? [rule.tier] : []));
  if (tiers !== undefined) checkNames(tiers, Object.keys(Object(tiers)), 'tiers', "{ free: '100/1h', pro: '1000/1h' }");
  const known = tiers === undefined ? [...new Set([...divided, ...single])] : Object.keys(tiers);
  if (known.length === 0) {
    const alone = tier !== undefined ? 'tier' : defaultTier !== undefined ? 'defaultTier' : undefined;
    if (alone === undefined && tiers === undefined) return known;
    throw new SluiceError(
      'INVALID_OPTION',
      tiers === undefined
        ? `rateLimit: '${alone}' is given, but there are no tiers. Add tiers: { free: '100/1h', pro: '1000/1h' }.`
        : "rateLimit: 'tiers' has no tier. Add one, like tiers: { free: '100/1h' }.",
    );
  }
  const stranger = single.find((name) => !known.includes(name));
  if (stranger !== undefined) {
    throw new SluiceError(
      'INVALID_OPTION',
      `rateLimit: a rule is for the tier ${show(stranger)}, which is none of 'tiers': ${known.join(', ')}.`,
    );
  }
  // Where all that depends on a tier is rules for one, who has none is of none.
  const isNeeded = tiers !== undefined || divided.length > 0;
  if (defaultTier === undefined ? isNeeded : !known.includes(defaultTier)) {
    throw new SluiceError(
      'INVALID_OPTION',
      `rateLimit: 'defaultTier' must be the tier of whoever has none, or an unknown one: one of ${known.join(', ')}; got ${show(defaultTier)}.`,
    );
  }
  if (tier === undefined) {
    throw new SluiceError(
      'INVALID_OPTION',
      `rateLimit: without 'tier' everybody is of ${defaultTier === undefined ? 'no tier' : `the tier '${defaultTier}'`}. Add a function that tells the tier of a request.`,
    );
  }
  return known;
}

function overridesOf(overrides: RateLimitOptions<unknown>['overrides'], clock: Clock): Overrides | undefined {
  if (overrides === undefined || overrides instanceof Overrides) return overrides;
  if (typeof overrides !== 'object' || overrides === null || Array.isArray(overrides)) {
    throw new SluiceError(
      'INVALID_OPTION',
      `rateLimit: 'overrides' takes limits by key, like { 'user:42': '5000/1h' }, or a new Overrides(); got ${show(overrides)}.`,
    );
  }
  return new Overrides(overrides as ConstructorParameters<typeof Overrides>[0], { clock });
}
