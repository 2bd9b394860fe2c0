import { SluiceError, show } from '../errors.js';
import type { Enforcement } from './limiting.js';

/**
 * The percentage of keys that limits refuse: 0 for a shadow, and `undefined` where they are off. Where the options do
 * not say, it is the `inherited` one.
 * @throws SluiceError `INVALID_OPTION`.
 */
export function percentOf(
  { mode, enforcePercent }: Enforcement,
  where: string,
  inherited: number | undefined,
): number | undefined {
  if (mode !== undefined && mode !== 'enforce' && mode !== 'shadow' && mode !== 'off') {
    throw new SluiceError('INVALID_OPTION', `${where}: 'mode' is 'enforce', 'shadow' or 'off'; got ${show(mode)}.`);
  }
  if (enforcePercent === undefined)
    return mode === undefined ? inherited : { enforce: 100, shadow: 0, off: undefined }[mode];
  if (typeof enforcePercent !== 'number' || !(enforcePercent >= 0 && enforcePercent <= 100)) {
    throw new SluiceError(
      'INVALID_OPTION',
      `${where}: 'enforcePercent' must be a number from 0 to 100; got ${show(enforcePercent)}.`,
    );
  }
  if (mode !== undefined && mode !== 'enforce') {
    throw new SluiceError(
      'INVALID_OPTION',
      `${where}: 'enforcePercent' says how many keys are refused, and 'mode: ${show(mode)}' that none is. Leave out one of the two.`,
    );
  }
  return enforcePercent;
}

/** Whether a line or rule of that percentage refuses a key: the same answer for a key each time, on every machine. */
export function isEnforced(percent: number, key: string): boolean {
  if (percent >= 100) return true;
  return percent > 0 && hundredth(key) < percent;
}

/** A number from 0 to 99 that a key keeps: FNV-1a, http://www.isthe.com/chongo/tech/comp/fnv/. */
function hundredth(key: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < key.length; i++) hash = Math.imul(hash ^ key.charCodeAt(i), 0x01000193);
  // Its low bits are the weak ones.
  return ((hash ^ (hash >>> 15)) >>> 0) % 100;
}
