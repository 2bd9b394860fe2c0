import { setTimeout as after } from 'node:timers/promises';

/**
 * Asks again and again until the answer is neither `undefined` nor `false`, and resolves to it. A question that fails
 * counts as not answered yet. Rejects, with `what` and the last failure, after `limit` milliseconds.
 */
export async function until<T>(
  what: string,
  ask: () => Promise<T | undefined | false>,
  limit = 30_000,
): Promise<Exclude<T, undefined | false>> {
  const end = performance.now() + limit;
  let failure: unknown;
  while (performance.now() < end) {
    try {
      const answer = await ask();
      failure = undefined;
      if (answer !== undefined && answer !== false) return answer as Exclude<T, undefined | false>;
    } catch (error) {
      failure = error;
    }
    await after(20);
  }
  throw new Error(`Waited ${limit} ms in vain until ${what}`, { cause: failure });
}
