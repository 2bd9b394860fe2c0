import { hash } from 'node:crypto';
import {
  type Decision,
  isPromise,
  type MaybePromise,
  Pipeline,
  type PolicyText,
  type RateLimitOptions,
  type Reader,
  type Verdict,
} from '@sluice/core';
import type { Application, NextFunction, Request, RequestHandler, Response } from 'express';

export { ipKey, SluiceError } from '@sluice/core';

declare global {
  namespace Express {
    interface Request {
      /** What the rate limiters on this request have decided so far: the tightest of them. */
      rateLimit?: Decision;
    }
  }
}

/** Options of {@link rateLimit}; every callback is given Express' request. */
export type ExpressRateLimitOptions = RateLimitOptions<Request>;

/** Whether an app's proxy setting believes a stranger far from this server: one answer per setting, not per request. */
const answers = new WeakMap<object, boolean>();

function trustsAnyone(app: Application): boolean {
  const trust: ((address: string, hop: number) => boolean) | undefined = app.get('trust proxy fn');
  if (trust === undefined) return false;
  const known = answers.get(trust);
  if (known !== undefined) return known;
  const answer = trust('203.0.113.1', 64);
  answers.set(trust, answer);
  return answer;
}

const reader: Reader<Request> = {
  ip: (req) => req.ip,
  header: (req, name) => req.headers[name],
  user: (req) => (req as { user?: unknown }).user,
  earlier: (req) => req.rateLimit,
  proxies: {
    trustsAnyone: (req) => trustsAnyone(req.app),
    forwarded: (req) => req.headers['x-forwarded-for'],
    peer: (req) => req.socket.remoteAddress,
    remedy: "Set app.set('trust proxy', …) to the number or the addresses of your proxies instead of true.",
  },
  digest: (text) => hash('sha256', text, 'base64url').slice(0, 22),
  warn: (message) => process.emitWarning(message, { code: 'SLUICE_TRUST_PROXY' }),
};

/**
 * Express middleware that limits requests: for a whole app, `app.use(rateLimit())`, or for a route,
 * `app.post('/login', rateLimit({ limit: 5, window: '1m' }), …)`. The decision is on `req.rateLimit`.
 * @throws SluiceError for options that cannot work, with the remedy.
 */
export function rateLimit(options?: ExpressRateLimitOptions | PolicyText): RequestHandler {
  const pipeline = new Pipeline(reader, options);
  return function rateLimit(req, res, next) {
    let verdict: MaybePromise<Verdict>;
    try {
      verdict = pipeline.handle(req, res, res);
    } catch (error) {
      return next(error);
    }
    if (isPromise(verdict)) verdict.then((later) => conclude(later, req, res, next), next);
    else conclude(verdict, req, res, next);
  };
}

function conclude(verdict: Verdict, req: Request, res: Response, next: NextFunction): void {
  let goesOn: boolean;
  try {
    goesOn = apply(verdict, req, res);
  } catch (error) {
    next(error);
    return;
  }
  if (goesOn) next();
}

/** Says whether the request goes on. */
function apply(verdict: Verdict, req: Request, res: Response): boolean {
  if (verdict.action === 'skip') return true;
  if (verdict.action === 'gone') return false;
  req.rateLimit = verdict.decision;
  for (const name in verdict.headers) res.setHeader(name, verdict.headers[name]!);
  if (verdict.action === 'pass') return true;
  res.status(verdict.status).end(verdict.body);
  return false;
}
