import type { TopQuery } from './analytics.js';
import { Counts } from './counts.js';
import { Frame } from './frame.js';
import { hoursKept, minutesKept, type Unit } from './series.js';
import type { Summary } from './sketch.js';
import type { Tallies } from './tally.js';

/** A slice of the sketches is a minute. For a window of an hour, so many are needed. */
export const slicesKept = 61;

/** The summaries of one slice: several where the process was started anew within it. */
export type Slice = { readonly [by in TopQuery['by']]: readonly Summary[] };

/** A History keeps what was counted: minutes for a day, hours for 30 days, and an hour of sketches. */
export class History {
  readonly #frames = { minute: new Map<number, Frame>(), hour: new Map<number, Frame>() };
  readonly #slices = new Map<number, Slice>();

  /** Adds what was counted in a minute, also to its hour. */
  addMinute(minute: number, tallies: Tallies): void {
    this.add('minute', minute, tallies);
    this.add('hour', Math.floor(minute / 60), tallies);
  }

  add(unit: Unit['name'], at: number, tallies: Tallies): void {
    const frames = this.#frames[unit];
    const known = frames.get(at);
    frames.set(at, new Frame(known === undefined ? tallies : new Counts().add(known).add(tallies)));
  }

  addSlice(minute: number, by: TopQuery['by'], summary: Summary): void {
    if (summary.counters.length === 0) return;
    const slice = this.#slices.get(minute) ?? { requests: [], refused: [] };
    this.#slices.set(minute, { ...slice, [by]: [...slice[by], summary] });
  }

  frame(unit: Unit['name'], at: number): Frame | undefined {
    return this.#frames[unit].get(at);
  }

  /** The summaries from a minute on. */
  summaries(by: TopQuery['by'], from: number): readonly Summary[] {
    return [...this.#slices].filter(([minute]) => minute >= from).flatMap(([, slice]) => slice[by]);
  }

  /** What is there now. Frames and summaries never change, so that it can be written while counting goes on. */
  entries(): {
    readonly frames: { readonly [unit in Unit['name']]: readonly (readonly [at: number, Frame])[] };
    readonly slices: readonly (readonly [minute: number, Slice])[];
  } {
    const { minute, hour } = this.#frames;
    return { frames: { minute: [...minute], hour: [...hour] }, slices: [...this.#slices] };
  }

  /** Forgets what is too old, when it is `minute`. */
  forget(minute: number): void {
    forgetBefore(this.#frames.minute, minute - minutesKept + 1);
    forgetBefore(this.#frames.hour, Math.floor(minute / 60) - hoursKept + 1);
    forgetBefore(this.#slices, minute - slicesKept + 1);
  }
}

function forgetBefore(map: Map<number, unknown>, first: number): void {
  for (const at of map.keys()) if (at < first) map.delete(at);
}
