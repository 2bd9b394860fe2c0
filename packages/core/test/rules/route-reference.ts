/** A rule of the reference: the same as the table's, not yet written as a text. */
export interface Rule {
  /** Empty: any. */
  readonly method: string;
  /** Text, `:x` or `*`. */
  readonly segments: readonly string[];
}

export function matchOf({ method, segments }: Rule): string {
  return `${method && `${method} `}/${segments.join('/')}`;
}

/** The rule for a clean path by the definition: of all that match, the one that no other goes before. */
export function findBySearch(rules: readonly Rule[], method: string, path: readonly string[]): Rule | undefined {
  let best: Rule | undefined;
  for (const rule of rules) {
    if (rule.method !== '' && rule.method !== method) continue;
    if (matches(rule.segments, path) && (best === undefined || goesBefore(rule, best))) best = rule;
  }
  return best;
}

function matches(segments: readonly string[], path: readonly string[]): boolean {
  for (let i = 0; i < segments.length; i++) {
    if (isRest(segments, i)) return true;
    if (i >= path.length) return false;
    if (!stands(segments[i]!) && segments[i] !== path[i]) return false;
  }
  return segments.length === path.length;
}

function stands(segment: string): boolean {
  return segment === '*' || segment.startsWith(':');
}

function isRest(segments: readonly string[], i: number): boolean {
  return segments[i] === '*' && i === segments.length - 1;
}

function goesBefore(a: Rule, b: Rule): boolean {
  for (let i = 0; i <= Math.max(a.segments.length, b.segments.length); i++) {
    const difference = rank(a.segments, i) - rank(b.segments, i);
    if (difference !== 0) return difference < 0;
  }
  return a.method !== '' && b.method === '';
}

/** The end of a pattern goes before a wildcard that may be empty. */
function rank(segments: readonly string[], i: number): number {
  if (i >= segments.length) return 0;
  if (isRest(segments, i)) return 3;
  return stands(segments[i]!) ? 2 : 1;
}
