import { isPromise, type MaybePromise, type Pipeline, type Verdict } from '@sluice/core';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { type Route, RouteLimits } from './route-limits.js';

export type FastifyPipeline = Pipeline<FastifyRequest, FastifyReply>;

/** Where in a request's life a limiter stands. */
export type HookName = 'onRequest' | 'preParsing' | 'preValidation' | 'preHandler';

type Done = (error?: Error) => void;

/** A hook for any of these places: some hand on a payload before they hand on `done`. */
export type LimitHook = (request: FastifyRequest, reply: FastifyReply, ...rest: unknown[]) => void;

/** Chooses the pipeline for requests of a route, which is `undefined` where Fastify knows none. */
export type Choose = (route: Route | undefined) => FastifyPipeline | undefined;

/** A hook that passes each request through the pipeline chosen for it, if one is; and then through the second, if any. */
export function limitWith(choose: Choose, second?: Choose): LimitHook {
  return function rateLimit(request, reply, payloadOrDone, last) {
    const done = (last ?? payloadOrDone) as Done;
    // Fastify makes these options anew each time that they are asked for.
    const route = request.routeOptions as Route | undefined;
    if (second === undefined || !RouteLimits.has(route)) pass(choose, route, request, reply, done);
    else {
      pass(choose, route, request, reply, (error) => {
        if (error !== undefined) done(error);
        else if (!reply.sent) pass(second, route, request, reply, done);
      });
    }
  };
}

function pass(
  choose: Choose,
  route: Route | undefined,
  request: FastifyRequest,
  reply: FastifyReply,
  done: Done,
): void {
  let verdict: MaybePromise<Verdict> | undefined;
  let pipeline: FastifyPipeline | undefined;
  try {
    pipeline = choose(route);
    verdict = pipeline?.handle(request, reply.raw, reply);
  } catch (error) {
    done(error as Error);
    return;
  }
  if (pipeline === undefined || verdict === undefined) {
    done();
    return;
  }
  const { property } = pipeline;
  if (isPromise(verdict)) verdict.then((later) => conclude(later, property, request, reply, done), done);
  else conclude(verdict, property, request, reply, done);
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
  const { headers } = verdict;
  for (const name in headers) reply.header(name, headers[name]!);
  // As bytes: Fastify appends a charset to the JSON type of a text.
  if (verdict.action === 'refuse') reply.code(verdict.status).send(Buffer.from(verdict.body));
  return verdict.action === 'pass';
}
