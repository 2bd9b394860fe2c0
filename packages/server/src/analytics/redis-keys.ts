import type { Dimension, TopQuery } from './analytics.js';
import type { Unit } from './series.js';

/** AnalyticsKeys names what the analytics keep in Redis. One hash tag puts all of it in one slot of a cluster. */
export class AnalyticsKeys {
  readonly #start: string;

  constructor(prefix: string) {
    this.#start = `${prefix}:{analytics}`;
  }

  /** A hash of tallies by name. `at` is minutes or hours since the epoch. */
  counts(unit: Unit['name'], at: number, by: Dimension): string {
    return `${this.#start}:${unit}:${at}:${by}`;
  }

  /** A hash of summaries by process. */
  slice(minute: number, by: TopQuery['by']): string {
    return `${this.#start}:top:${minute}:${by}`;
  }

  /** The number of the last hand-over of a process. */
  handedOver(process: string): string {
    return `${this.#start}:handed-over:${process}`;
  }
}
