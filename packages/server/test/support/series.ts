import type { Client } from './client.ts';

/** What was counted under one name. */
export interface Totals {
  allowed: number;
  refused: number;
  shadow_refused: number;
  sources: Record<string, number>;
}

/** What the analytics have counted in the last hour, by the names of a dimension; names without any are left out. */
export async function totalsBy(client: Client, by: string): Promise<Readonly<Record<string, Totals>>> {
  const { status, json, text } = await client.get(`/ratelimit/analytics?by=${by}`);
  if (status !== 200) throw new Error(`The analytics answered ${status}: ${text}`);
  const all: Record<string, Totals> = {};
  for (const { name, points } of json.series) {
    const totals: Totals = { allowed: 0, refused: 0, shadow_refused: 0, sources: {} };
    for (const { allowed, refused, shadow_refused, sources } of points) {
      totals.allowed += allowed;
      totals.refused += refused;
      totals.shadow_refused += shadow_refused;
      for (const [source, count] of Object.entries<number>(sources)) {
        totals.sources[source] = (totals.sources[source] ?? 0) + count;
      }
    }
    if (totals.allowed + totals.refused + totals.shadow_refused > 0) all[name] = totals;
  }
  return all;
}
