const longest = 256;

/** A Memo remembers the results of a pure function of a text. When it is full it starts again empty. */
export class Memo<T> {
  readonly #compute: (text: string) => T;
  readonly #most: number;
  readonly #results = new Map<string, T>();

  constructor(compute: (text: string) => T, most = 10_000) {
    this.#compute = compute;
    this.#most = most;
  }

  get(text: string): T {
    // Clients write these texts: long ones would fill the memory long before there are too many.
    if (text.length > longest) return this.#compute(text);
    const known = this.#results.get(text);
    if (known !== undefined) return known;
    const result = this.#compute(text);
    if (this.#results.size >= this.#most) this.#results.clear();
    this.#results.set(text, result);
    return result;
  }
}
