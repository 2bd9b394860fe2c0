import { closest, distance } from 'fastest-levenshtein';
import { counterpart } from './elsewhere.js';
import { SluiceError, show } from './errors.js';

/** Throws for a name that `known` does not list; the message offers the nearest name that it does, or the `example`. */
export function checkNames(
  options: unknown,
  known: readonly string[],
  where: string,
  example = '',
): asserts options is object {
  if (typeof options !== 'object' || options === null || !isPlain(options)) {
    throw new SluiceError(
      'INVALID_OPTION',
      `${where} takes an object of options${example && `, like ${example}`}; got ${show(options)}.`,
    );
  }
  for (const name of Object.keys(options)) {
    if (known.includes(name)) continue;
    const remedy = counterpart(name, known) ?? nearest(name, known) ?? `Known options: ${known.join(', ')}.`;
    throw new SluiceError('UNKNOWN_OPTION', `${where} has no option ${show(name)}. ${remedy}`);
  }
}

/** The question whether the nearest of the known names was meant, if one is near. */
export function nearest(name: string, known: readonly string[]): string | undefined {
  const near = closest(name, known as string[]);
  return distance(name, near) <= Math.max(2, Math.floor(near.length / 3)) ? `Did you mean ${show(near)}?` : undefined;
}

/** A limiter, a request or a Map has no options of its own to be checked, and would pass for an empty object. */
function isPlain(value: object): boolean {
  const prototype = Object.getPrototypeOf(value);
  // Of another realm, the prototype is another object of the same kind.
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

/** Throws when an option is given but has not the type its documentation states. */
export function checkType(
  options: object,
  name: string,
  type: 'function' | 'boolean' | 'string' | 'object',
  where: string,
): void {
  const value = (options as Record<string, unknown>)[name];
  if (value === undefined) return;
  if (typeof value === type && value !== null) return;
  throw new SluiceError('INVALID_OPTION', `${where}: ${show(name)} must be ${withArticle(type)}, not ${show(value)}.`);
}

function withArticle(type: string): string {
  return type === 'object' ? 'an object' : `a ${type}`;
}

/** Throws when a value is none of those that `where` takes. */
export function checkOneOf<T extends string>(value: unknown, values: readonly T[], where: string): asserts value is T {
  if ((values as readonly unknown[]).includes(value)) return;
  const quoted = values.map((one) => `'${one}'`).join(', ');
  throw new SluiceError('INVALID_OPTION', `${where} is one of ${quoted}; got ${show(value)}.`);
}
