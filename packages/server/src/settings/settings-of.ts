import type { HeaderStyle } from '@sluice/core';
import { defaultLimitsOf } from './default-limits.js';
import { Mistakes } from './mistakes.js';
import { listsOf, rulesOf } from './rules-and-lists.js';
import type { Settings } from './settings.js';
import { Given, type Sources } from './sources.js';
import { storageOf } from './storage-settings.js';
import { type OpenTokenFile, openTokenFile, tokensOf } from './tokens.js';

/** What settings are made of. */
export interface Written extends Sources {
  /** What relative paths start from, in the file too. */
  readonly folder: string;
  /** How files of tokens are opened. */
  readonly open?: OpenTokenFile;
}

/** Settings, and what is allowed but unwise about them. */
export interface Loaded {
  readonly settings: Settings;
  readonly warnings: readonly string[];
}

/** Settings of which nothing was written. */
export function usualSettings(): Settings {
  return settingsOf({ flags: {}, env: {}, file: undefined, folder: '.' }).settings;
}

/**
 * Makes settings of what was written.
 * @throws SettingsError with everything that is wrong.
 */
export function settingsOf({ folder, open = openTokenFile, ...sources }: Written): Loaded {
  const { file } = sources;
  const mistakes = new Mistakes();
  const warnings: string[] = [];
  const given = new Given(sources, mistakes);

  const storage = storageOf(given, folder, mistakes);
  const defaults = defaultLimitsOf(given, mistakes);
  const rules = rulesOf(file, mistakes);
  const lists = listsOf(file, mistakes);
  const adminTokens = tokensOf('admin', { given, folder, open }, mistakes, warnings);
  const checkTokens = tokensOf('check', { given, folder, open }, mistakes, warnings);
  const headers = headersOf(given, mistakes);
  mistakes.throwIfAny();

  if (adminTokens.some((token) => checkTokens.includes(token))) {
    warnings.push('One token is given for both scopes: whoever may ask for decisions may administer. Make two.');
  }
  if (file?.isOpen && (['adminToken', 'checkToken', 'redis'] as const).some((name) => holdsSecret(given, name))) {
    warnings.push(`${file.name}: everybody on this machine may read the secrets in it. Run 'chmod 600 ${file.name}'.`);
  }
  const settings: Settings = {
    host: given.value('host')!,
    port: given.value('port')!,
    storage: storage!,
    defaults: defaults!,
    rules,
    lists,
    adminTokens,
    checkTokens,
    headers: headers!,
    userTtl: given.value('userTtl')!,
    maxUsers: given.value('maxUsers')!,
    maxKeys: given.value('maxKeys')!,
    adminLimit: given.value('adminLimit')!,
    checkLimit: given.value('checkLimit')!,
    bodyLimit: given.value('bodyLimit')!,
    logLevel: given.value('logLevel')!,
  };
  return { settings, warnings };
}

/** At most one of the drafts: all of them write the same fields. */
function headersOf(given: Given, mistakes: Mistakes): Settings['headers'] | undefined {
  const styles = given.value('headers');
  if (styles === undefined) return undefined;
  const place = given.placeOf('headers');
  if (new Set(styles).size < styles.length) return mistakes.add(place, 'names a style twice. Leave out one.');
  const chosen = styles.filter((style): style is HeaderStyle => style !== 'off');
  if (chosen.length === 0) return false;
  if (chosen.length < styles.length) {
    return mistakes.add(place, `is off, and ${chosen.join(', ')} as well. Leave out one of the two.`);
  }
  const drafts = chosen.filter((style) => style !== 'legacy');
  if (drafts.length > 1) {
    return mistakes.add(place, `${drafts.join(' and ')} write the same fields. Choose one; legacy goes with any.`);
  }
  return chosen.length === 1 ? chosen[0]! : chosen;
}

function holdsSecret(given: Given, name: 'adminToken' | 'checkToken' | 'redis'): boolean {
  if (given.sourceOf(name) !== 'file') return false;
  return name !== 'redis' || given.value('redis')!.some((url) => new URL(url).password !== '');
}
