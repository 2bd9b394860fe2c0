import { checkCost } from '../charge.js';
import { SluiceError, show } from '../errors.js';
import { type CompiledPolicy, checkAlgorithm, compilePolicies, type Policy, type PolicyInput } from '../policy.js';
import { percentOf } from './enforcement.js';
import { type LimitInput, type Limiting, type LimitPolicy, singlePolicy } from './limiting.js';
import { ceilingOf, type Line, lineOf } from './line.js';

/** The lines that a request is charged for. */
export interface Limits {
  readonly own: readonly Line[];
  /** What each key is charged for that is a ceiling of the identity. */
  readonly ceilings: readonly Line[];
}

export const unlimited: Limits = { own: [], ceilings: [] };

/** What the lines of a list have in common. */
export interface LimitsContext {
  /** Put before the names of the policies. */
  readonly name: string | undefined;
  readonly rule: string | undefined;
  readonly tier: string | undefined;
  /** The algorithm of policies that name none. */
  readonly algorithm: Policy['algorithm'] | undefined;
  readonly block: Line | undefined;
  readonly ceiling: number | false;
  /** Whether other keys have other numbers under the same names. */
  readonly varies?: boolean;
}

/** Compiles a list of policies as the middleware takes them; those that are off are left out. */
export function compileLimits(inputs: readonly LimitInput[], where: string, context: LimitsContext): Limits {
  const { rule, tier, block, algorithm, ceiling } = context;
  if (algorithm !== undefined) checkAlgorithm(algorithm, where);
  const words = [context.name, tier].filter((word) => word !== undefined);
  const name = words.length === 0 ? undefined : words.join('-');
  const plain = Array.isArray(inputs) ? inputs.map(policyOf) : inputs;
  const policies = compilePolicies(plain, where, { algorithm, name });
  const own: Line[] = [];
  for (const [i, policy] of policies.entries()) {
    const input = inputs[i]!;
    const { unit, ...enforcement } = typeof input === 'string' ? ({} as LimitPolicy) : input;
    const at = inputs.length > 1 ? `${where}[${i}]` : where;
    const percent = percentOf(enforcement, at, 100);
    if (unit !== undefined && unit !== 'requests' && unit !== 'content-bytes') {
      throw new SluiceError('INVALID_POLICY', `${at}: 'unit' is 'requests' or 'content-bytes'; got ${show(unit)}.`);
    }
    if (percent === undefined) continue;
    own.push(lineOf(policy, 'limit', { unit: unit ?? 'requests', percent, rule, tier, block }));
  }
  return { own, ceilings: ceiling === false ? [] : own.map((line) => ceilingOf(line, ceiling, context.varies)) };
}

/** @throws SluiceError for policies that cannot work, naming the place where they are written. */
export function checkLimits(inputs: readonly LimitInput[], where: string, name: string): void {
  const none = { rule: undefined, tier: undefined, algorithm: undefined, block: undefined };
  compileLimits(inputs, where, { ...none, name, ceiling: false });
}

/** Limits of policies that are compiled already: those of single keys. */
export function limitsOf(
  policies: readonly CompiledPolicy[],
  context: Pick<LimitsContext, 'block' | 'ceiling'>,
): Limits {
  const { block, ceiling } = context;
  const own = policies.map((policy) => lineOf(policy, 'limit', { block }));
  return { own, ceilings: ceiling === false ? [] : own.map((line) => ceilingOf(line, ceiling, true)) };
}

/** What core knows of a policy: without the part that is the middleware's. */
function policyOf(input: LimitInput): PolicyInput {
  if (typeof input !== 'object' || input === null) return input;
  const { mode, enforcePercent, unit, ...policy } = input;
  return policy;
}

/**
 * The list of policies that options describe; `undefined` where they describe none.
 * @throws SluiceError `INVALID_OPTION` where they describe it twice.
 */
export function listOf<R>(options: Limiting<R>, where: string): readonly LimitInput[] | undefined {
  const { limits } = options;
  if (limits === undefined) {
    if (singlePolicy.every((name) => name === 'algorithm' || options[name] === undefined)) return undefined;
    return [onePolicy(options) as LimitPolicy];
  }
  const both = singlePolicy.find((name) => name !== 'algorithm' && options[name] !== undefined);
  if (both === undefined) return limits;
  throw new SluiceError(
    'INVALID_OPTION',
    `${where}: '${both}' and 'limits' are given. Move '${both}' into the policies that 'limits' lists.`,
  );
}

/** The one policy that is not listed. */
export function onePolicy<R>(options: Limiting<R>): Partial<Policy> {
  const policy: Record<string, unknown> = {};
  for (const name of singlePolicy) if (options[name] !== undefined) policy[name] = options[name];
  return policy;
}

/** @throws SluiceError `INVALID_COST` for a cost of every request that no request could ever pay. */
export function checkFixedCost(cost: number, lines: readonly Line[], where: string): void {
  checkCost(cost, `${where}: 'cost'`);
  const tooSmall = lines.find(({ policy }) => policy.limit > 0 && cost > policy.capacity)?.policy;
  if (tooSmall === undefined) return;
  throw new SluiceError(
    'INVALID_COST',
    `${where}: with a 'cost' of ${cost} no request could ever pass, since policy '${tooSmall.name}' holds at most ` +
      `${tooSmall.capacity} units at once. Lower the cost, or raise the limit or the burst.`,
  );
}
