/** What stands in a chain by itself, so that it is taken out at no cost, and without being looked for. */
export interface Link<T> {
  before: T | undefined;
  behind: T | undefined;
}

/** A Chain is a list in the order of arrival, of which any one may leave at any time. */
export class Chain<T extends Link<T>> {
  first: T | undefined;
  last: T | undefined;

  append(one: T): void {
    one.before = this.last;
    if (this.last === undefined) this.first = one;
    else this.last.behind = one;
    this.last = one;
  }

  /** To be called once with one that is in this chain. */
  remove(one: T): void {
    const { before, behind } = one;
    if (before === undefined) this.first = behind;
    else before.behind = behind;
    if (behind === undefined) this.last = before;
    else behind.before = before;
    // Those that have left must not hold on to each other.
    one.before = undefined;
    one.behind = undefined;
  }

  clear(): void {
    this.first = undefined;
    this.last = undefined;
  }
}
