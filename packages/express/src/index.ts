import {
  type ControlledMiddleware,
  controlled,
  isPromise,
  type MaybePromise,
  Pipeline,
  type PolicyText,
  type RateLimitOptions,
  type RequestDecision,
  type Verdict,
} from '@sluice/core';
import type { NextFunction, Request, RequestHandler, Response } from 'express';
import { DecisionProperty } from './decision-property.js';
import { reader } from './reader.js';

export type { Decision, Explanation, LimitedResponse, RequestDecision, RequestEvent, Rule, Store } from '@sluice/core';
export {
  AccessList,
  fromExpressRateLimitStore,
  ipKey,
  MemoryStore,
  Overrides,
  RateLimitError,
  SluiceError,
} from '@sluice/core';

declare global {
  namespace Express {
    interface Request {
      /** What the rate limiters on this request have decided so far: the tightest of them. */
      rateLimit?: RequestDecision;
    }
  }
}

/** Options of {@link rateLimit}; every callback is given Express' request. */
export type ExpressRateLimitOptions = RateLimitOptions<Request, Response>;

/** The middleware, and what an operator can do with it while it runs. */
export type RateLimit = ControlledMiddleware<RequestHandler, Request>;

/**
 * Express middleware that limits requests: for a whole app, `app.use(rateLimit())`, or for a route,
 * `app.post('/login', rateLimit({ limit: 5, window: '1m' }), …)`. The decision is on `req.rateLimit`.
 * @throws SluiceError for options that cannot work, with the remedy.
 */
export function rateLimit(options?: ExpressRateLimitOptions | PolicyText): RateLimit {
  return controlled(new Pipeline<Request, Response>(reader, options), middleware);
}

function middleware(pipeline: Pipeline<Request, Response>): RequestHandler {
  const property = DecisionProperty.of(pipeline.property);
  return function rateLimit(req, res, next) {
    let verdict: MaybePromise<Verdict>;
    try {
      verdict = pipeline.handle(req, res, res);
    } catch (error) {
      return next(error);
    }
    if (isPromise(verdict)) verdict.then((later) => conclude(later, property, req, res, next), next);
    else conclude(verdict, property, req, res, next);
  };
}

function conclude(verdict: Verdict, property: DecisionProperty, req: Request, res: Response, next: NextFunction): void {
  let goesOn: boolean;
  try {
    goesOn = apply(verdict, property, req, res);
  } catch (error) {
    next(error);
    return;
  }
  if (verdict.action === 'fail') next(verdict.error);
  else if (goesOn) next();
}

/** Says whether the request goes on. */
function apply(verdict: Verdict, property: DecisionProperty, req: Request, res: Response): boolean {
  if (verdict.action === 'skip') return true;
  if (verdict.action === 'gone') return false;
  property.set(req, verdict.decision);
  if (verdict.action === 'answered') return false;
  const { headers } = verdict;
  // Looked up once: on a response of Express that takes as long as the call.
  const { setHeader } = res;
  for (const name in headers) setHeader.call(res, name, headers[name]!);
  if (verdict.action === 'refuse') res.status(verdict.status).end(verdict.body);
  return verdict.action === 'pass';
}
