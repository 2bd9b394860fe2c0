/** A Trace is what happened in a run, in order: as a number that tells two runs apart, and as text where it is wanted. */
export class Trace {
  readonly #start: number;
  readonly #lines: string[] | undefined;
  #hash = 0x811c9dc5;

  constructor(start: number, isKept: boolean) {
    this.#start = start;
    this.#lines = isKept ? [] : undefined;
  }

  get hash(): number {
    return this.#hash >>> 0;
  }

  get lines(): readonly string[] {
    return this.#lines ?? [];
  }

  /** `node` is -1 for what the server does. */
  note(time: number, node: number, what: string, units: number, more = 0): void {
    this.#add(time - this.#start);
    this.#add(node);
    for (let i = 0; i < what.length; i++) this.#add(what.charCodeAt(i));
    this.#add(units);
    this.#add(more);
    if (this.#lines === undefined) return;
    const at = ((time - this.#start) / 1_000).toFixed(3).padStart(10);
    this.#lines.push(
      `${at} ms  ${node < 0 ? 'server' : `node ${node}`}  ${what} ${units}${more === 0 ? '' : ` (${more})`}`,
    );
  }

  #add(number: number): void {
    this.#hash = Math.imul(this.#hash ^ (number | 0), 0x01000193);
    this.#hash ^= this.#hash >>> 15;
  }
}
