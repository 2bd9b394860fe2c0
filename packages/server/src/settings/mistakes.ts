import { SluiceError } from '@sluice/core';
import { nearest } from '@sluice/core/toolkit';

/** A Place is where something was written, as a message names it: `--port`, `SLUICE_PORT`, `sluice.yaml:3:7 port`. */
export interface Place {
  readonly text: string;
  readonly line: number;
  readonly column: number;
}

export function placeOutside(text: string): Place {
  return { text, line: 0, column: 0 };
}

/** A SettingsError tells of everything that is wrong with the settings, in one line each. */
export class SettingsError extends SluiceError {
  readonly lines: readonly string[];

  constructor(lines: readonly string[]) {
    super('INVALID_OPTION', lines.join('\n'));
    this.name = 'SettingsError';
    this.lines = lines;
  }
}

/** Mistakes are collected, so that all are told at once, in the order of the file. */
export class Mistakes {
  readonly #found: { readonly place: Place; readonly message: string }[] = [];

  /** Returns nothing, as what cannot be made of the settings. */
  add(place: Place, message: string): undefined {
    this.#found.push({ place, message: message.replace(/\s*\n\s*/g, ' ') });
    return undefined;
  }

  /** What `read` returns; `undefined` where it threw, and what it said is a mistake at this place. */
  catch<T>(place: Place, read: () => T): T | undefined {
    try {
      return read();
    } catch (error) {
      if (!(error instanceof SluiceError)) throw error;
      return this.add(place, error.message);
    }
  }

  /** @throws SettingsError if there was any. */
  throwIfAny(): void {
    if (this.#found.length === 0) return;
    const sorted = this.#found.toSorted((a, b) => a.place.line - b.place.line || a.place.column - b.place.column);
    throw new SettingsError(sorted.map(({ place, message }) => `${place.text}: ${message}`));
  }
}

/** What to do about a name that nobody knows: the nearest of the known ones, or all. */
export function remedyFor(name: string, known: readonly string[]): string {
  return nearest(name, known) ?? `Known are ${known.join(', ')}.`;
}
