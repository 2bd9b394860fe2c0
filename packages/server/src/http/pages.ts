import { firstThatFit, jsonBytes } from '../page-bytes.js';

/** Which page is asked for. */
export interface PageQuery {
  readonly limit: number;
  /** Of the page before: its `next`. */
  readonly after?: string;
}

/** The form of a query for a page of at most so many of `what`, whose ids have at most so many characters. */
export function pageQuery(what: string, most: number, longest: number) {
  return {
    type: 'object',
    additionalProperties: false,
    properties: {
      limit: { type: 'integer', minimum: 1, maximum: most, default: 1_000 },
      after: { type: 'string', maxLength: longest, description: `The ${what} after which the page begins.` },
    },
  } as const;
}

/** The part of a list, by ids, that a query asks for; `next` is the id to go on after, where there is more. */
export function pageOf(
  all: Iterable<readonly [id: string, shown: object]>,
  { limit, after = '' }: PageQuery,
): { readonly page: readonly object[]; readonly next?: string } {
  const left = [...all].filter(([id]) => id > after).sort(([a], [b]) => (a < b ? -1 : 1));
  const fitting = firstThatFit(left, limit, ([, shown]) => jsonBytes(shown));
  const page = fitting.map(([, shown]) => shown);
  return left.length > fitting.length ? { page, next: fitting.at(-1)![0] } : { page };
}
