import type { FastifyInstance, LightMyRequestResponse } from 'fastify';
import type { LimitHook, RateLimitCheck } from '../src/index.ts';

/** The statuses of requests that are injected one after another. */
export async function statuses(app: FastifyInstance, ...urls: string[]): Promise<number[]> {
  const statuses: number[] = [];
  for (const url of urls) statuses.push((await app.inject(url)).statusCode);
  return statuses;
}

/** The legacy fields of a response: limit and remaining. */
export function counted({ headers }: LightMyRequestResponse): unknown[] {
  return [headers['x-ratelimit-limit'], headers['x-ratelimit-remaining']];
}

export const done = async () => 'done';

/** The hook that has no options. @fastify/rate-limit declares one too, whose types are in the same program. */
export function pluginHook(app: FastifyInstance): LimitHook {
  return (app as unknown as { rateLimit(): LimitHook }).rateLimit();
}

/** The check that has no options, for the same reason. */
export function pluginCheck(app: FastifyInstance): RateLimitCheck {
  return (app as unknown as { createRateLimit(): RateLimitCheck }).createRateLimit();
}
