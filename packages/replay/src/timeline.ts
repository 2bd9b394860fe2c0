/** A Timeline divides the span of a log into equal steps. Times are seconds since the epoch. */
export interface Timeline {
  readonly start: number;
  /** Seconds. */
  readonly step: number;
  readonly steps: number;
}

const mostSteps = 24;
const [minute, hour, day] = [60, 3_600, 86_400];
const niceSteps = [1, 5, 15, minute, 5 * minute, 15 * minute, hour, 2 * hour, 4 * hour, 6 * hour, 12 * hour, day];

/** Chooses the finest step with at most 24 from `first` to `last`; steps begin on the full hour of that time zone. */
export function timelineOf(first: number, last: number, offset: number): Timeline {
  for (let i = 0; ; i++) {
    const step = niceSteps[i] ?? day * 2 ** (i - niceSteps.length + 1);
    const start = Math.floor((first + offset * minute) / step) * step - offset * minute;
    const steps = Math.floor((last - start) / step) + 1;
    if (steps <= mostSteps) return { start, step, steps };
  }
}

/** The step of a timeline in which a moment lies. */
export function stepAt({ start, step }: Timeline, time: number): number {
  return Math.floor((time - start) / step);
}
