import type { LimitInput } from '../engine/limiting.js';
import { checkLimits } from '../engine/limits.js';
import type { Store } from '../store.js';
import type { RateLimitOptions } from './options.js';

/** What the phase before authentication takes over: how requests are treated, not what they are granted. */
const ofBothPhases = [
  'identity',
  'lists',
  'headers',
  'response',
  'onLimited',
  'onBanned',
  'onDecision',
  'logger',
  'clock',
  'skip',
  'penalty',
  'mode',
  'enforcePercent',
  'shape',
  'maxDelay',
] as const;

/**
 * The options of the phase before authentication, which counts by address; `undefined` where there is none.
 * @throws SluiceError for limits that cannot work.
 */
export function optionsBeforeAuth<R, S>(
  options: RateLimitOptions<R, S>,
  store: Store,
): RateLimitOptions<R, S> | undefined {
  const { beforeAuth } = options;
  if (beforeAuth === undefined) return undefined;
  const name = options.name === undefined ? 'before-auth' : `${options.name}-before-auth`;
  const limits: readonly LimitInput[] = Array.isArray(beforeAuth) ? beforeAuth : [beforeAuth];
  checkLimits(limits, 'beforeAuth', name);
  const shared: RateLimitOptions<R, S> = {};
  for (const option of ofBothPhases) {
    if (options[option] !== undefined) Object.assign(shared, { [option]: options[option] });
  }
  return { ...shared, name, limits, key: 'ip', store };
}
