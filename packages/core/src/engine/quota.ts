import type { AlgorithmName } from '../algorithms/index.js';
import { checkCost } from '../charge.js';
import { type Duration, parseDuration } from '../duration.js';
import { SluiceError, show } from '../errors.js';
import type { MaybePromise } from '../maybe-promise.js';
import { checkNames, checkType } from '../options.js';
import { compilePenalty, type PenaltyOptions } from '../penalty.js';
import { compilePolicies } from '../policy.js';
import { ChangingLimits } from './changing-limits.js';
import { percentOf } from './enforcement.js';
import { type Concurrency, type KeySource, type LimitInput, type Limiting, type Tiers, usual } from './limiting.js';
import { checkFixedCost, compileLimits, type Limits, listOf, unlimited } from './limits.js';
import { type Line, lineOf } from './line.js';
import type { Screen } from './screen.js';

/** What a quota takes over from the limiter it belongs to. */
export interface QuotaContext<R> {
  /** How errors name the place in the configuration. */
  readonly where: string;
  /** Put before the names of the policies. */
  readonly name: string | undefined;
  /** The rule as written. */
  readonly rule: string | undefined;
  /** Percentage of keys that are refused where the options do not say; `undefined` where all is off. */
  readonly percent: number | undefined;
  readonly algorithm: AlgorithmName | undefined;
  readonly cost: number | ((request: R) => MaybePromise<number>) | undefined;
  readonly penalty: PenaltyOptions | Duration | undefined;
  readonly ceiling: number | false;
  /** The tiers that exist, and the one of whoever has none. */
  readonly tiers: readonly string[];
  readonly defaultTier: string | undefined;
  readonly by: KeySource<R> | undefined;
  /** Whom it never limits, and whom it always refuses. */
  readonly screen: Screen<R> | undefined;
}

/** A Quota is what the requests that a rule matches, or that none does, are charged for. */
export class Quota<R> {
  readonly rule: string | undefined;
  /** Percentage of keys that are refused; `undefined` where the quota is off. */
  readonly percent: number | undefined;
  readonly by: KeySource<R> | undefined;
  readonly screen: Screen<R> | undefined;
  readonly cost: number | ((request: R) => MaybePromise<number>);
  readonly block: Line | undefined;
  readonly slot: Line | undefined;
  /** The limits of every request, where neither it nor its tier makes a difference. */
  readonly fixed: Limits | undefined;
  readonly usesTier: boolean;
  readonly #byTier: ReadonlyMap<string, Limits> | undefined;
  readonly #own: Limits | ChangingLimits<R>;

  /** @throws SluiceError for options that cannot work, with the remedy. */
  constructor(options: Limiting<R>, context: QuotaContext<R>) {
    const { where, rule, ceiling } = context;
    checkLimiting(options, where);
    this.rule = rule;
    this.by = context.by;
    this.screen = context.screen;
    this.percent = percentOf(options, where, context.percent);
    this.cost = firstOf(options.cost, firstOf(context.cost, 1));
    const name = context.name ?? 'default';
    if (rule !== undefined) checkPenalty(options.penalty, where);
    const penalty = firstOf(options.penalty, context.penalty);
    const block = penalty === undefined ? undefined : compilePenalty(penalty, `${where}: 'penalty'`, name).block;
    this.block = block && lineOf(block, 'block', { rule });
    this.slot = slotOf(options.concurrency, `${where}: 'concurrency'`, name, rule);

    const algorithm = options.algorithm ?? context.algorithm;
    const varies = typeof options.limit === 'function' || typeof options.window === 'function';
    const compile = (inputs: readonly LimitInput[], place: string, tier?: string) =>
      compileLimits(inputs, place, { name: context.name, rule, tier, algorithm, block: this.block, ceiling, varies });
    this.#byTier = options.tiers === undefined ? undefined : tiersOf(options.tiers, context, compile);
    this.usesTier = this.#byTier !== undefined;
    this.#own = this.#ownLimits(options, context, compile);
    this.fixed = this.usesTier || this.#own instanceof ChangingLimits ? undefined : this.#own;
    const { cost } = this;
    if (typeof cost === 'number') checkFixedCost(cost, this.#limitLines(), where);
    else if (typeof cost !== 'function') checkCost(cost, `${where}: 'cost'`);
  }

  /** Whether no request is charged for anything. */
  get isEmpty(): boolean {
    return this.percent === undefined || (this.fixed?.own.length === 0 && this.slot === undefined);
  }

  /** What a request of that tier is charged for. */
  limitsOf(request: R, tier: string | undefined): MaybePromise<Limits> {
    const ofTier = tier === undefined ? undefined : this.#byTier?.get(tier);
    if (ofTier !== undefined) return ofTier;
    return this.#own instanceof ChangingLimits ? this.#own.of(request) : this.#own;
  }

  /** Every line under which state is kept. */
  lines(): readonly Line[] {
    const own = this.#own instanceof ChangingLimits ? this.#own.lines() : [...this.#own.own, ...this.#own.ceilings];
    const tiers = [...(this.#byTier?.values() ?? [])].flatMap(({ own, ceilings }) => [...own, ...ceilings]);
    // A rule may fall back on one of its tiers.
    const lines = new Set([...own, ...tiers]);
    for (const line of [this.block, this.slot]) if (line !== undefined) lines.add(line);
    return [...lines];
  }

  #ownLimits(
    options: Limiting<R>,
    { where, rule, tiers, defaultTier }: QuotaContext<R>,
    compile: (inputs: readonly LimitInput[], where: string) => Limits,
  ): Limits | ChangingLimits<R> {
    const { limit, window } = options;
    if (limit === false && (rule !== undefined || !this.usesTier)) {
      const besides = (['window', 'burst', 'anchor', 'limits', 'countRefused'] as const).find(
        (name) => options[name] !== undefined,
      );
      if (besides === undefined) return unlimited;
      throw new SluiceError('INVALID_OPTION', `${where}: 'limit: false' is no limit, so '${besides}' says nothing.`);
    }
    const list = listOf(options, where);
    if (list === undefined || (rule === undefined && this.usesTier)) {
      if (this.usesTier && (list !== undefined || limit === false)) {
        throw new SluiceError(
          'INVALID_OPTION',
          `${where}: 'tiers' says what each tier is granted, and so do the limits beside it. Leave out one of the two; ` +
            "who belongs to no tier is of the 'defaultTier'.",
        );
      }
      const missing = tiers.filter((tier) => this.#byTier?.has(tier) === false);
      const ofDefault = defaultTier === undefined ? undefined : this.#byTier?.get(defaultTier);
      if (ofDefault !== undefined && missing.length === 0) return ofDefault;
      if (rule === undefined) return compile([usual], where);
      throw new SluiceError(
        'INVALID_OPTION',
        this.usesTier
          ? `${where}: 'tiers' has no limits for ${missing.map((tier) => `'${tier}'`).join(', ')}, nor has the rule a limit for the others beside them. Add one of the two.`
          : `${where}: the rule '${rule}' has no limit. Give it 'limit' and 'window', 'limits' or 'tiers', or 'limit: false' for none.`,
      );
    }
    if (options.limits !== undefined) return compile(list, rule === undefined ? 'limits' : `${where}: limits`);
    if (rule !== undefined && (limit === undefined || window === undefined)) {
      throw new SluiceError(
        'INVALID_OPTION',
        `${where}: the rule '${rule}' has a '${limit === undefined ? 'window' : 'limit'}' but no '${limit === undefined ? 'limit' : 'window'}'. A rule needs both.`,
      );
    }
    if (typeof limit === 'function' || typeof window === 'function') {
      return new ChangingLimits(options, (policy) => compile([policy], where));
    }
    return compile([{ ...usual, ...(list[0] as object) }], where);
  }

  #limitLines(): readonly Line[] {
    if (this.#own instanceof ChangingLimits) return [];
    return this.lines().filter(({ kind }) => kind === 'limit');
  }
}

/** What is not given is as the limiter has it. Null is given, and wrong. */
function firstOf<T, U>(given: T | undefined, otherwise: U): T | U {
  return given === undefined ? otherwise : given;
}

/** A rule may block its own requests, and bans nobody: a ban is from everything. */
function checkPenalty(penalty: PenaltyOptions | Duration | undefined, where: string): void {
  const ban = (['banAfter', 'banFor'] as const).find(
    (name) => (penalty as PenaltyOptions | undefined)?.[name] !== undefined,
  );
  if (ban === undefined) return;
  throw new SluiceError(
    'INVALID_OPTION',
    `${where}: '${ban}' is no option of a rule, since a ban is from everything. Say it once for all rules: ` +
      'rateLimit({ penalty: { banAfter: 5 }, rules: … }).',
  );
}

function checkLimiting<R>(options: Limiting<R>, where: string): void {
  checkType(options, 'name', 'string', where);
  const { limit } = options;
  if ((limit as unknown) === true) {
    throw new SluiceError('INVALID_OPTION', `${where}: 'limit' must be a number, a function, or false; got true.`);
  }
}

function tiersOf<R>(
  tiers: Tiers,
  { where, tiers: known, rule }: QuotaContext<R>,
  compile: (inputs: readonly LimitInput[], where: string, tier: string) => Limits,
): ReadonlyMap<string, Limits> {
  const place = rule === undefined ? 'tiers' : `${where}: tiers`;
  checkNames(tiers, known, place, "{ free: '100/1h', pro: '1000/1h' }");
  const limits = new Map<string, Limits>();
  for (const [tier, input] of Object.entries(tiers)) {
    const at = `${place}.${tier}`;
    if (input === undefined || (input as unknown) === true) {
      throw new SluiceError(
        'INVALID_OPTION',
        `${at} takes policies, like '100/1h', or false for no limit; got ${show(input)}.`,
      );
    }
    limits.set(
      tier,
      input === false ? unlimited : compile(Array.isArray(input) ? input : [input as LimitInput], at, tier),
    );
  }
  return limits;
}

/**
 * A place among the requests at work is a unit of a log whose window is the timeout: given back when the response ends,
 * and free by itself when its process has died.
 */
function slotOf(
  concurrency: number | Concurrency | undefined,
  where: string,
  name: string,
  rule: string | undefined,
): Line | undefined {
  if (concurrency === undefined) return undefined;
  const options = typeof concurrency === 'number' ? { limit: concurrency } : concurrency;
  checkNames(options, ['limit', 'timeout'], where, "20 or { limit: 20, timeout: '5m' }");
  const { limit, timeout = '10m' } = options;
  parseDuration(timeout, `${where}: 'timeout'`);
  const [policy] = compilePolicies(
    [{ name: `${name}-concurrency`, algorithm: 'sliding-window-log', limit, window: timeout }],
    where,
  );
  return lineOf({ ...policy!, borrowed: true }, 'slot', { unit: 'concurrent-requests', rule });
}
