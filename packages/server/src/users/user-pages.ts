import { Problem } from '../problem.js';

/** A cursor that no client needs to understand. */
export function cursorOf(kind: string, at: string): string {
  return Buffer.from(`${kind}${at}`).toString('base64url');
}

/** @throws Problem 400 for a cursor that was not made for pages of this kind. */
export function readCursor(kind: string, cursor: string, isOne: (at: string) => boolean = (at) => at !== ''): string {
  const text = Buffer.from(cursor, 'base64url').toString();
  const at = text.slice(kind.length);
  if (text.startsWith(kind) && isOne(at) && cursorOf(kind, at) === cursor) return at;
  const detail = "'cursor' is the 'next' of an earlier page, as it is. Leave it out to begin with the first page.";
  throw new Problem(400, 'Invalid parameter', detail, [{ parameter: 'cursor', detail }]);
}

/** How many are looked at before others have a turn. */
const stride = 10_000;

/**
 * The first `count` in the order of their ids, of those whose id comes after `after`. Goes through all of them, without
 * holding up the event loop; who comes or goes meanwhile may be on the page or not.
 */
export async function firstById<T extends { readonly id: string }>(
  all: Iterable<T>,
  count: number,
  after: string | undefined,
): Promise<readonly T[]> {
  const byId = (a: T, b: T) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0);
  let found: T[] = [];
  let last: string | undefined;
  let looked = 0;
  const keepFirst = () => {
    // Who is seen anew, or given limits, in the middle of it is met twice.
    found = found.sort(byId).filter(({ id }, i) => id !== found[i - 1]?.id);
    if (found.length > count) found.length = count;
    if (found.length === count) last = found[count - 1]?.id;
  };
  for (const one of all) {
    if (++looked % stride === 0) await new Promise((resolve) => setImmediate(resolve));
    if ((after !== undefined && one.id <= after) || (last !== undefined && one.id >= last)) continue;
    found.push(one);
    if (found.length >= count + 1_000) keepFirst();
  }
  keepFirst();
  return found;
}
