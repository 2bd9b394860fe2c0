import type { ConfigFile } from './config-file.js';
import { type Mistakes, type Place, placeOutside, remedyFor } from './mistakes.js';
import { flagOf, keyOf, type OptionName, optionNames, options, type Values, variableOf } from './options.js';

/** Where settings come from. A flag goes before a variable, that before the file, and that before the default. */
export interface Sources {
  /** What stands behind each flag, by the name of the option. */
  readonly flags?: { readonly [name in OptionName]?: readonly string[] };
  /** The environment of the process, of which only what begins with `SLUICE_` counts. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly file?: ConfigFile | undefined;
}

/** Keys of the file that are no options. */
const sections = ['rules', 'lists'];
/** Names the file, and so is no setting in it. */
export const configVariable = variableOf('config');

interface Item {
  readonly raw: unknown;
  readonly place: Place;
}

/** What was written for an option. */
interface Written {
  readonly source: 'flag' | 'variable' | 'file';
  readonly place: Place;
  readonly items: readonly Item[];
}

const spellings = { flag: flagOf, variable: variableOf, file: keyOf };

/** Given are the settings that were given, read, and where each stands. */
export class Given {
  readonly #written = new Map<OptionName, Written>();
  readonly #values = new Map<OptionName, unknown>();

  /** Adds to the mistakes what cannot be read and what nobody knows. */
  constructor({ flags = {}, env = {}, file }: Sources, mistakes: Mistakes) {
    const variables = variablesOf(env, mistakes);
    if (file !== undefined) checkKeys(file, mistakes);
    for (const name of optionNames) {
      const written = fromFlags(flags, name) ?? fromEnvironment(variables, name) ?? fromFile(file, name);
      if (written !== undefined) this.#written.set(name, written);
      const value = written === undefined ? defaultOf(name) : read(name, written, mistakes);
      if (value !== undefined) this.#values.set(name, value);
    }
  }

  /** What was given, else the default; `undefined` without either, and where what was given is wrong. */
  value<N extends OptionName>(name: N): Values[N] | undefined {
    return this.#values.get(name) as Values[N] | undefined;
  }

  /** Whether it was given, rightly or wrongly. */
  has(name: OptionName): boolean {
    return this.#written.has(name);
  }

  /** Where it was given; where it was not, the name of its flag. */
  placeOf(name: OptionName): Place {
    return this.#written.get(name)?.place ?? placeOutside(flagOf(name));
  }

  /** Where each value of a list was given. */
  placesOf(name: OptionName): readonly Place[] {
    return this.#written.get(name)?.items.map(({ place }) => place) ?? [];
  }

  /** The name of an option as one writes it where `like` was written. */
  spell(name: OptionName, like: OptionName): string {
    return spellings[this.#written.get(like)?.source ?? 'flag'](name);
  }

  sourceOf(name: OptionName): Written['source'] | undefined {
    return this.#written.get(name)?.source;
  }
}

function fromFlags(flags: NonNullable<Sources['flags']>, name: OptionName): Written | undefined {
  const texts = flags[name];
  if (texts === undefined) return undefined;
  const place = placeOutside(flagOf(name));
  const items = texts.flatMap((text) => split(name, text)).map((raw) => ({ raw, place }));
  return { source: 'flag', place, items };
}

function fromEnvironment(env: NonNullable<Sources['env']>, name: OptionName): Written | undefined {
  const text = env[variableOf(name)];
  if (text === undefined) return undefined;
  const place = placeOutside(variableOf(name));
  return { source: 'variable', place, items: split(name, text).map((raw) => ({ raw, place })) };
}

function fromFile(file: ConfigFile | undefined, name: OptionName): Written | undefined {
  const key = keyOf(name);
  if (file === undefined || !Object.hasOwn(file.values, key)) return undefined;
  const value = file.values[key];
  const place = file.placeOf([key]);
  if (options[name].several && Array.isArray(value)) {
    const items = value.map((raw: unknown, i) => ({ raw, place: file.placeOf([key, i]) }));
    return { source: 'file', place, items };
  }
  return { source: 'file', place, items: split(name, value).map((raw) => ({ raw, place })) };
}

function split(name: OptionName, raw: unknown): readonly unknown[] {
  return options[name].several && typeof raw === 'string' ? raw.split(',').map((part) => part.trim()) : [raw];
}

function defaultOf(name: OptionName): unknown {
  const option = options[name];
  if (!('default' in option) || option.default === undefined) return undefined;
  const value = option.read(option.default);
  return option.several ? [value] : value;
}

function read(name: OptionName, { items, place }: Written, mistakes: Mistakes): unknown {
  const option = options[name];
  if (items.length === 0) return mistakes.add(place, 'is an empty list. Give a value, or leave it out.');
  if (items.length > 1 && !option.several) return mistakes.add(place, 'is given twice. Leave out one of them.');
  const values = items.map(({ raw, place }) => {
    if (raw === null || raw === '') return mistakes.add(place, 'is empty. Give a value, or leave it out.');
    if (typeof raw === 'object') return mistakes.add(place, 'must be a single value, not a list or a map.');
    return mistakes.catch(place, () => option.read(raw));
  });
  if (values.includes(undefined)) return undefined;
  return option.several ? values : values[0];
}

/** The variables that are settings. */
function variablesOf(env: NonNullable<Sources['env']>, mistakes: Mistakes): NonNullable<Sources['env']> {
  const known = [...optionNames.map(variableOf), configVariable];
  const own: Record<string, string> = {};
  for (const [name, value] of Object.entries(env)) {
    if (!name.startsWith('SLUICE_') || value === undefined) continue;
    const isOfKubernetes = /^SLUICE_(SERVICE_(HOST|PORT)|PORT_\d+_(TCP|UDP|SCTP))/.test(name);
    if (isOfKubernetes || (name === 'SLUICE_PORT' && value.includes('://'))) {
      mistakes.add(
        placeOutside(name),
        "is what Kubernetes sets for a service called 'sluice', and no setting. Put 'enableServiceLinks: false' into " +
          'the specification of the pod, or give that service another name.',
      );
    } else if (known.includes(name)) {
      own[name] = value;
    } else {
      mistakes.add(placeOutside(name), `there is no such variable. ${remedyFor(name, known)}`);
    }
  }
  return own;
}

function checkKeys(file: ConfigFile, mistakes: Mistakes): void {
  const known = [...optionNames.map(keyOf), ...sections];
  for (const key of Object.keys(file.values)) {
    if (known.includes(key)) continue;
    mistakes.add(file.placeOf([key]), `there is no such setting. ${remedyFor(key, known)}`);
  }
}
