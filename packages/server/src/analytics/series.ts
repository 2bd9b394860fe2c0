import { SluiceError } from '@sluice/core';
import type { Dimension, Point, Series, SeriesQuery } from './analytics.js';
import {
  columnOfSource,
  columns,
  emptyTally,
  otherNames,
  outcomes,
  sources,
  type Tallies,
  type Tally,
} from './tally.js';

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;

/** So many minutes are kept: a day, and the one that it is. */
export const minutesKept = dayMs / minuteMs + 1;
/** So many hours are kept: 30 days, and the one that it is. */
export const hoursKept = (30 * dayMs) / hourMs + 1;

/** A series has so many points at the most: a day of minutes fits, and 30 days of hours. */
export const mostPoints = 2_000;
/** An answer has so many series at the most, and so many points in all; what is beyond is `(other)`. */
const mostSeries = 100;
const mostPointsInAll = 20_000;

/** What a series is made from: minutes, or hours for a query that reaches back further than minutes are kept. */
export interface Unit {
  readonly name: 'minute' | 'hour';
  /** Milliseconds. The step of a query must be a multiple of it. */
  readonly length: number;
}

/** `now` is milliseconds since the epoch. */
export function unitOf({ from, step }: Pick<SeriesQuery, 'from' | 'step'>, now: number): Unit {
  const reachesBack = from < Math.floor(now / minuteMs) * minuteMs - dayMs;
  return reachesBack && step >= hourMs ? { name: 'hour', length: hourMs } : { name: 'minute', length: minuteMs };
}

/** The intervals that a query needs and that can still be there, by their numbers since the epoch, in order. */
export function intervalsOf({ from, to }: SeriesQuery, { name, length }: Unit, now: number): readonly number[] {
  const latest = Math.floor(now / length);
  const kept = name === 'minute' ? minutesKept : hoursKept;
  const first = Math.max(Math.floor(from / length), latest - kept + 1);
  const last = Math.min(Math.ceil(to / length) - 1, latest);
  const intervals: number[] = [];
  for (let i = first; i <= last; i++) intervals.push(i);
  return intervals;
}

interface Line {
  total: number;
  /** Points of which anything is known, in the order in which they came. */
  readonly points: number[];
  /** Their tallies, one after the other. */
  readonly numbers: number[];
}

/**
 * A SeriesBuilder adds up intervals into the series that a query asks for. Points start at multiples of the step since
 * the epoch, so that those of a day are days of UTC; the first one has only what was counted from `from` on. A point
 * without counts is zeros.
 */
export class SeriesBuilder {
  readonly #by: Dimension;
  readonly #step: number;
  /** Number of the first point since the epoch. */
  readonly #first: number;
  readonly #length: number;
  readonly #lines = new Map<string, Line>();

  /** @throws SluiceError `INVALID_OPTION` for a query of more than {@link mostPoints} points, or of none. */
  constructor({ from, to, by, step }: SeriesQuery) {
    this.#by = by;
    this.#step = step;
    this.#first = Math.floor(from / step);
    this.#length = Math.ceil(to / step) - this.#first;
    if (!(this.#length >= 1 && this.#length <= mostPoints)) {
      throw new SluiceError(
        'INVALID_OPTION',
        `A series has from 1 to ${mostPoints} points; this query asks for ${this.#length}. Take a longer 'step', or less time.`,
      );
    }
    // These are known beforehand, so that a decision that was never made is a line of zeros.
    if (by === 'decision') for (const outcome of outcomes) this.#lines.set(outcome, newLine());
  }

  /** Adds what was counted from `at` on, in milliseconds since the epoch; `at` is that of an interval of the query. */
  add(at: number, tallies: Tallies): void {
    tallies.each(this.#by, (name, numbers, start) => this.addTally(at, name, numbers, start));
  }

  addTally(at: number, name: string, numbers: ArrayLike<number>, start = 0): void {
    const point = Math.max(0, Math.floor(at / this.#step) - this.#first);
    let line = this.#lines.get(name);
    if (line === undefined) {
      line = newLine();
      this.#lines.set(name, line);
    }
    const { points, numbers: sums } = line;
    if (points[points.length - 1] === point) addTo(sums, sums.length - columns, numbers, start);
    else {
      points.push(point);
      for (let i = 0; i < columns; i++) sums.push(numbers[start + i]!);
    }
    for (let i = 0; i < outcomes.length; i++) line.total += numbers[start + i]!;
  }

  /** The series, the largest first; `(other)` comes last. */
  series(): readonly Series[] {
    const most = Math.min(mostSeries, Math.floor(mostPointsInAll / this.#length));
    const sorted = [...this.#lines].sort(([a, lineOfA], [b, lineOfB]) => {
      const isOther = Number(a === otherNames) - Number(b === otherNames);
      return isOther || lineOfB.total - lineOfA.total || (a < b ? -1 : 1);
    });
    const shown = sorted.length > most ? sorted.slice(0, most - 1) : sorted;
    const series = shown.map(([name, line]) => ({ name, points: this.#pointsOf([line]) }));
    if (shown.length === sorted.length) return series;
    const rest = sorted.slice(shown.length).map(([, line]) => line);
    return [...series, { name: otherNames, points: this.#pointsOf(rest) }];
  }

  #pointsOf(lines: readonly Line[]): readonly Point[] {
    const sums: (Tally | undefined)[] = new Array(this.#length).fill(undefined);
    for (const { points, numbers } of lines) {
      for (let i = 0; i < points.length; i++) {
        const point = points[i]!;
        sums[point] ??= emptyTally();
        addTo(sums[point], 0, numbers, i * columns);
      }
    }
    return sums.map((sum = noTally, i) => pointOf((this.#first + i) * this.#step, sum));
  }
}

const noTally: Tally = emptyTally();

function newLine(): Line {
  return { total: 0, points: [], numbers: [] };
}

function addTo(sums: number[], at: number, numbers: ArrayLike<number>, start: number): void {
  for (let i = 0; i < columns; i++) sums[at + i]! += numbers[start + i]!;
}

function pointOf(at: number, tally: Tally): Point {
  const [allowed, refused, shadow] = tally as [number, number, number];
  const bySource: { [source in (typeof sources)[number]]?: number } = {};
  for (const source of sources) {
    const count = tally[columnOfSource[source]]!;
    if (count > 0) bySource[source] = count;
  }
  return { at: new Date(at).toISOString(), allowed, refused, shadow_refused: shadow, sources: bySource };
}
