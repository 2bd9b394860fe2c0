// How are results shown: as tables that a terminal and a Markdown page show alike, or as JSON?

/** What a contender has come to, or why it has not. */
export type Cell = string | number | undefined;

export interface Table {
  readonly part: string;
  readonly title: string;
  /** How the numbers came about. */
  readonly note: string;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly Cell[])[];
  /** What could not be measured, each with its reason. */
  readonly failures: readonly string[];
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** Rounds to three digits: more than that is noise. */
export function round(value: number): number {
  return Number(value.toPrecision(3));
}

export function ratio(value: number, reference: number): string | undefined {
  return Number.isFinite(value / reference) ? `${round(value / reference)}×` : undefined;
}

export function print({ title, note, columns, rows, failures }: Table): string {
  const texts = [columns, ...rows].map((row) => row.map(show));
  const widths = columns.map((_, i) => Math.max(3, ...texts.map((row) => row[i]!.length)));
  const lines = texts.map(
    (row) => `| ${row.map((text, i) => (i === 0 ? text.padEnd(widths[i]!) : text.padStart(widths[i]!))).join(' | ')} |`,
  );
  const rule = `|${widths.map((width, i) => (i === 0 ? '-'.repeat(width + 2) : `${'-'.repeat(width + 1)}:`)).join('|')}|`;
  lines.splice(1, 0, rule);
  return [`## ${title}`, '', ...lines, '', note, ...failures.map((failure) => `Not measured: ${failure}`), ''].join(
    '\n',
  );
}

function show(cell: Cell): string {
  if (cell === undefined) return '–';
  return typeof cell === 'number' ? cell.toLocaleString('en-US', { maximumFractionDigits: 2 }) : cell;
}
