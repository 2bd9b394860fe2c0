import { isPromise } from '@sluice/core';
import type { FastifyReply } from 'fastify';
import type { Check } from '../decisions/check.js';
import type { Answered, Decider } from '../decisions/decider.js';
import type { Metrics } from '../metrics.js';

/**
 * Makes the function that decides on a check and answers with the decision: 200, or the status for who is `refused` or
 * `blocked`. Where the store answers at once, nothing is awaited: a promise would take as long as the decision.
 */
export function answering(decider: Decider, metrics: Metrics) {
  return (
    reply: FastifyReply,
    check: Check,
    refused: number,
    blocked: number,
  ): FastifyReply | Promise<FastifyReply> | undefined => {
    const begun = performance.now();
    const send = ({ answer, headers }: Answered): FastifyReply => {
      metrics.decisionTook((performance.now() - begun) / 1_000);
      return reply
        .code(answer.allowed ? 200 : answer.reason === 'block-list' ? blocked : refused)
        .headers(headers)
        .header('cache-control', 'no-store')
        .send(answer);
    };
    const answered = decider.check(check);
    if (isPromise(answered)) return Promise.resolve(answered).then(send);
    send(answered);
    // A reply that is returned is waited for.
    return undefined;
  };
}
