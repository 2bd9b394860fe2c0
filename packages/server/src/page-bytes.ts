/** Bytes of a page of what is kept, at the most; a page has something in any case. */
export const pageBytes = 4 * 2 ** 20;

/** The first of `all`, at most `count` of them, that take no more than the bytes of a page. */
export function firstThatFit<T>(all: Iterable<T>, count: number, bytesOf: (one: T) => number): readonly T[] {
  const page: T[] = [];
  let bytes = 0;
  for (const one of all) {
    bytes += bytesOf(one);
    if (page.length === count || (page.length > 0 && bytes > pageBytes)) break;
    page.push(one);
  }
  return page;
}

/** What something takes in an answer. */
export function jsonBytes(value: object): number {
  return Buffer.byteLength(JSON.stringify(value));
}
