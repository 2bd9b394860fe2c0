import type { Dimension, TopQuery } from './analytics.js';
import { Counts, type Delta } from './counts.js';
import type { Minute } from './recorder.js';
import type { Sketch } from './sketch.js';
import { dimensions } from './tally.js';

/** Minutes that wait at the most while they cannot be handed over: a day, after which they would be forgotten anyway. */
const mostWaiting = 1_440;

/** Names that are handed over in one piece at the most: Redis decides on nothing else meanwhile. */
const mostNames = 100;

/** What is handed over in one piece. It never changes, so that it can be handed over again without harm. */
export interface Parcel {
  /** Counts from 1. */
  readonly number: number;
  readonly minute: number;
  readonly delta: Delta;
  /** Summaries of the whole minute so far, in JSON; `undefined` where nothing is new. */
  readonly summaries: { readonly [by in TopQuery['by']]: string | undefined };
}

interface Waiting {
  readonly counts: Counts;
  readonly sketches: Minute['sketches'];
}

/**
 * An Outbox keeps what was counted until it is handed over. It is packed into parcels when none is left; they are
 * handed over one after the other, each the same until its arrival is known. What is counted meanwhile comes with later
 * ones.
 */
export class Outbox {
  readonly #waiting = new Map<number, Waiting>();
  /** How much of a sketch was handed over. */
  readonly #told = new WeakMap<Sketch, number>();
  readonly #parcels: Parcel[] = [];
  #number = 0;
  #lost = 0;

  /** Minutes that were given up, since there were too many of them. */
  get lost(): number {
    return this.#lost;
  }

  get isEmpty(): boolean {
    return this.#parcels.length === 0 && this.#waiting.size === 0;
  }

  /** Keeps a minute that is over. */
  put({ minute, counts, sketches }: Minute): void {
    if (counts.isEmpty) return;
    // Known only where a clock was set back.
    const known = this.#waiting.get(minute);
    const sum = known === undefined ? counts : new Counts().add(known.counts).add(counts);
    this.#waiting.set(minute, { counts: sum, sketches });
    if (this.#waiting.size <= mostWaiting) return;
    const [oldest] = this.#waiting.keys();
    this.#waiting.delete(oldest!);
    this.#lost++;
  }

  /** The next parcel: one that was packed before, else one of a minute that is over. */
  next(): Parcel | undefined {
    if (this.#parcels.length > 0) return this.#parcels[0];
    for (const [minute, waiting] of this.#waiting) {
      this.#waiting.delete(minute);
      this.pack({ minute, ...waiting });
      break;
    }
    return this.#parcels[0];
  }

  /** Packs what was counted so far in a minute. */
  pack({ minute, counts, sketches }: Minute): void {
    if (counts.isEmpty) return;
    const deltas = split(counts.take());
    for (const [i, delta] of deltas.entries()) {
      const isLast = i === deltas.length - 1;
      const summaries = {
        requests: isLast ? this.#news(sketches.requests) : undefined,
        refused: isLast ? this.#news(sketches.refused) : undefined,
      };
      this.#parcels.push({ number: ++this.#number, minute, delta, summaries });
    }
  }

  /** The first parcel has arrived, or can never be taken. */
  shift(): void {
    this.#parcels.shift();
  }

  #news(sketch: Sketch): string | undefined {
    if (sketch.total === (this.#told.get(sketch) ?? 0)) return undefined;
    this.#told.set(sketch, sketch.total);
    return JSON.stringify(sketch.summary());
  }
}

/** Splits a delta into such of a bounded number of names. */
function split(delta: Delta): readonly Delta[] {
  const deltas: Delta[] = [];
  let part = emptyDelta();
  let room = mostNames;
  for (const by of dimensions) {
    const texts = delta[by];
    for (let i = 0; i < texts.length; i += 2) {
      if (room === 0) {
        deltas.push(part);
        part = emptyDelta();
        room = mostNames;
      }
      part[by].push(texts[i]!, texts[i + 1]!);
      room--;
    }
  }
  return [...deltas, part];
}

function emptyDelta(): { readonly [by in Dimension]: string[] } {
  return { rule: [], endpoint: [], tier: [], decision: [] };
}
