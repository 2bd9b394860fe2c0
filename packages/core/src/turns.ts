/** Turns lets work on the same key run one after another, in the order of arrival. */
export class Turns {
  readonly #last = new Map<string, Promise<unknown>>();

  /** All keys are queued for at once, so that no two can wait for one another. */
  async run<T>(keys: readonly string[], work: () => Promise<T>): Promise<T> {
    const before = keys.flatMap((key) => this.#last.get(key) ?? []);
    const turn = Promise.all(before).then(work);
    const done = turn.then(
      () => {},
      () => {},
    );
    for (const key of keys) this.#last.set(key, done);
    try {
      return await turn;
    } finally {
      for (const key of keys) if (this.#last.get(key) === done) this.#last.delete(key);
    }
  }
}
