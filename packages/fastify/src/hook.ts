import { isPromise, type MaybePromise, type Pipeline, type Verdict } from '@sluice/core';
import type { FastifyReply, FastifyRequest } from 'fastify';

export type FastifyPipeline = Pipeline<FastifyRequest, FastifyReply>;

/** Where in a request's life a limiter stands. */
export type HookName = 'onRequest' | 'preParsing' | 'preValidation' | 'preHandler';

type Done = (error?: Error) => void;

/** A hook for any of these places: some hand on a payload before they hand on `done`. */
export type LimitHook = (request: FastifyRequest, reply: FastifyReply, ...rest: unknown[]) => void;

/** A hook that passes each request through the pipeline chosen for it, if one is. */
export function limitWith(choose: (request: FastifyRequest) => FastifyPipeline | undefined): LimitHook {
  // Fastify counts parameters to know whether a hook takes `done`.
  return function rateLimit(request, reply, ...rest) {
    const done = rest.at(-1) as Done;
    let verdict: MaybePromise<Verdict> | undefined;
    let pipeline: FastifyPipeline | undefined;
    try {
      pipeline = choose(request);
      verdict = pipeline?.handle(request, reply.raw, reply);
    } catch (error) {
      return done(error as Error);
    }
    if (pipeline === undefined || verdict === undefined) return done();
    const { property } = pipeline;
    if (isPromise(verdict)) verdict.then((later) => conclude(later, property, request, reply, done), done);
    else conclude(verdict, property, request, reply, done);
  };
}

function conclude(verdict: Verdict, property: string, request: FastifyRequest, reply: FastifyReply, done: Done): void {
  let goesOn: boolean;
  try {
    goesOn = apply(verdict, property, request, reply);
  } catch (error) {
    done(error as Error);
    return;
  }
  if (verdict.action === 'fail') done(verdict.error as Error);
  else if (goesOn) done();
}

/** Says whether the request goes on. */
function apply(verdict: Verdict, property: string, request: FastifyRequest, reply: FastifyReply): boolean {
  switch (verdict.action) {
    case 'skip':
      return true;
    case 'gone':
      // The request ends here: no later hook may count it, and nobody waits for an answer.
      reply.hijack();
      return false;
  }
  (request as unknown as Record<string, unknown>)[property] = verdict.decision;
  if (verdict.action === 'answered') return false;
  reply.headers(verdict.headers);
  // As bytes: Fastify appends a charset to the JSON type of a text.
  if (verdict.action === 'refuse') reply.code(verdict.status).send(Buffer.from(verdict.body));
  return verdict.action === 'pass';
}
