import type { QuotaLine } from '../headers.js';

/** What is said of a policy, and of which numbers. */
type Known<T> = Pick<QuotaLine, 'limit' | 'windowMs' | 'unit'> & { readonly text: T };

/**
 * LineTexts remembers what is said of each policy. The lines themselves are made anew for each request, and a policy of
 * one name may have other numbers on the next.
 */
export class LineTexts<T extends string | undefined> {
  readonly #compute: (line: QuotaLine) => T;
  readonly #known = new Map<string, Known<T>>();

  constructor(compute: (line: QuotaLine) => T) {
    this.#compute = compute;
  }

  of(line: QuotaLine): T {
    const { name, limit, windowMs, unit } = line;
    const known = this.#known.get(name);
    if (known !== undefined && known.limit === limit && known.windowMs === windowMs && known.unit === unit) {
      return known.text;
    }
    const text = this.#compute(line);
    if (this.#known.size >= 10_000) this.#known.clear();
    this.#known.set(name, { limit, windowMs, unit, text });
    return text;
  }
}
