/**
 * A Recent remembers at least the latest `most / 2` things that were put into it or looked up, and never more than `most`.
 * It keeps two generations: when the younger one is full, it becomes the elder, and what the elder one held is forgotten.
 */
export class Recent<T> {
  readonly #most: number;
  #young = new Map<string, T>();
  #elder = new Map<string, T>();

  constructor(most: number) {
    this.#most = Math.max(1, Math.floor(most / 2));
  }

  get(id: string): T | undefined {
    const young = this.#young.get(id);
    if (young !== undefined) return young;
    const elder = this.#elder.get(id);
    if (elder !== undefined) this.set(id, elder);
    return elder;
  }

  set(id: string, thing: T): void {
    if (this.#young.size >= this.#most && !this.#young.has(id)) {
      this.#elder = this.#young;
      this.#young = new Map();
    }
    this.#young.set(id, thing);
    this.#elder.delete(id);
  }

  delete(id: string): void {
    this.#young.delete(id);
    this.#elder.delete(id);
  }

  get size(): number {
    return this.#young.size + this.#elder.size;
  }
}
