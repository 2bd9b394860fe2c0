interface Entry {
  readonly time: number;
  readonly order: number;
  readonly run: () => void;
}

/** A Timeline is the true time of a simulation, in whole microseconds, and what is still to happen in it. */
export class Timeline {
  #now: number;
  #order = 0;
  /** Whether something may be waiting to be settled that the present event has caused. */
  #isTouched = false;
  readonly #heap: Entry[] = [];

  constructor(start: number) {
    this.#now = start;
  }

  get now(): number {
    return this.#now;
  }

  /** Runs later what is to happen then; of events at one instant, in the order in which they were planned. */
  at(time: number, run: () => void): void {
    const entry = { time: Math.max(this.#now, Math.ceil(time)), order: this.#order++, run };
    const heap = this.#heap;
    let i = heap.length;
    heap.push(entry);
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (precedes(heap[parent]!, entry)) break;
      heap[i] = heap[parent]!;
      i = parent;
    }
    heap[i] = entry;
  }

  /** To be called by an event that has begun or settled a promise. */
  touch(): void {
    this.#isTouched = true;
  }

  /** Lets all happen up to `end`; after each event, every promise settles that can, before time goes on. */
  async pass(end: number): Promise<void> {
    while (this.#heap.length > 0 && this.#heap[0]!.time <= end) {
      const { time, run } = this.#next();
      this.#now = time;
      run();
      if (!this.#isTouched) continue;
      this.#isTouched = false;
      await settled();
    }
    this.#now = end;
  }

  #next(): Entry {
    const heap = this.#heap;
    const first = heap[0]!;
    const last = heap.pop()!;
    if (heap.length === 0) return first;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && precedes(heap[child + 1]!, heap[child]!)) child++;
      if (precedes(last, heap[child]!)) break;
      heap[i] = heap[child]!;
      i = child;
    }
    heap[i] = last;
    return first;
  }
}

function precedes(a: Entry, b: Entry): boolean {
  return a.time < b.time || (a.time === b.time && a.order < b.order);
}

/** Node runs what was planned this way once no promise is left that could settle. */
function settled(): Promise<void> {
  return new Promise((resolve) => process.nextTick(resolve));
}
