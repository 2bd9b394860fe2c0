import { isPromise, type MaybePromise, type Pipeline, type Verdict } from '@sluice/core';
import type { FastifyReply, FastifyRequest, onRequestHookHandler } from 'fastify';

/** A hook that passes each request through the pipeline chosen for it, if one is. */
export function limitWith(
  choose: (request: FastifyRequest) => Pipeline<FastifyRequest> | undefined,
): onRequestHookHandler {
  return function rateLimit(request, reply, done) {
    let verdict: MaybePromise<Verdict> | undefined;
    try {
      verdict = choose(request)?.handle(request, reply.raw, reply);
    } catch (error) {
      return done(error as Error);
    }
    if (verdict === undefined) done();
    else if (isPromise(verdict)) verdict.then((later) => conclude(later, request, reply, done), done);
    else conclude(verdict, request, reply, done);
  };
}

function conclude(verdict: Verdict, request: FastifyRequest, reply: FastifyReply, done: (error?: Error) => void): void {
  let goesOn: boolean;
  try {
    goesOn = apply(verdict, request, reply);
  } catch (error) {
    done(error as Error);
    return;
  }
  if (goesOn) done();
}

/** Says whether the request goes on. */
function apply(verdict: Verdict, request: FastifyRequest, reply: FastifyReply): boolean {
  if (verdict.action === 'pass' || verdict.action === 'refuse') {
    request.rateLimit = verdict.decision;
    reply.headers(verdict.headers);
  }
  if (verdict.action === 'refuse') {
    // As bytes: Fastify appends a charset to the JSON type of a text.
    reply.code(verdict.status).send(Buffer.from(verdict.body));
    return false;
  }
  // The request ends here: no later hook may count it, and nobody waits for an answer.
  if (verdict.action === 'gone') reply.hijack();
  return verdict.action !== 'gone';
}
