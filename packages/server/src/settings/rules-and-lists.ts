import { show } from '@sluice/core/toolkit';
import type { ListName, RuleDocument } from '../configuration/configuration.js';
import { entryOf } from '../configuration/list-entry.js';
import { parseRules } from '../configuration/rule-document.js';
import { Problem, type ProblemPart } from '../problem.js';
import type { ConfigFile, Path } from './config-file.js';
import { type Mistakes, remedyFor } from './mistakes.js';
import { refuse, sayingWhy } from './readers.js';

const listNames: readonly ListName[] = ['allow', 'block'];

/** The rules of a file, which are written as they are sent to the API. */
export function rulesOf(file: ConfigFile | undefined, mistakes: Mistakes): readonly RuleDocument[] {
  const written = file?.values.rules;
  if (file === undefined || written === undefined) return [];
  try {
    return parseRules(written, '/rules');
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    const parts: readonly ProblemPart[] = error.errors ?? [{ detail: error.detail }];
    for (const { pointer = '/rules', detail } of parts) {
      mistakes.add(file.placeOf(pathOf(pointer)), detail);
    }
    return [];
  }
}

/** Whom no rule of the service limits, and whom all of it refuses, as it stands in a file. */
export function listsOf(
  file: ConfigFile | undefined,
  mistakes: Mistakes,
): Readonly<Record<ListName, readonly string[]>> {
  const lists = { allow: [] as string[], block: [] as string[] };
  const written = file?.values.lists;
  if (file === undefined || written === undefined) return lists;
  if (typeof written !== 'object' || written === null || Array.isArray(written)) {
    mistakes.add(file.placeOf(['lists']), `must be a map with 'allow', 'block' or both; got ${show(written)}.`);
    return lists;
  }
  for (const [name, entries] of Object.entries(written)) {
    const list = listNames.find((known) => known === name);
    if (list === undefined) {
      mistakes.add(file.placeOf(['lists', name]), `there is no such list. ${remedyFor(name, listNames)}`);
    } else if (!Array.isArray(entries)) {
      mistakes.add(
        file.placeOf(['lists', name]),
        `must be a list, like ['203.0.113.0/24', 'user:42']; got ${show(entries)}.`,
      );
    } else {
      for (const [i, entry] of entries.entries()) {
        mistakes.catch(file.placeOf(['lists', name, i]), () => lists[list].push(listed(entry)));
      }
    }
  }
  return lists;
}

/** An entry as it is kept: written here as it is sent to the API. */
function listed(entry: unknown): string {
  if (typeof entry !== 'string') return refuse(`must be text; got ${show(entry)}. In YAML, put it into quotes.`);
  return sayingWhy(() => entryOf(entry), 'The list');
}

/** The steps of a JSON pointer, RFC 6901. */
function pathOf(pointer: string): Path {
  const steps = pointer.split('/').slice(1);
  return steps
    .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'))
    .map((step) => (/^\d+$/.test(step) ? Number(step) : step));
}
