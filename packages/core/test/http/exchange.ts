import { createHash, createHmac } from 'node:crypto';
import { Pipeline, type PolicyText, type RateLimitOptions, type Reader, type Verdict } from '../../src/index.ts';

/** A request as a framework might have it. */
export interface FakeRequest {
  ip?: string;
  headers?: Record<string, string | string[] | undefined>;
  user?: unknown;
  method?: string;
  url?: string;
  route?: string;
  peer?: string;
}

export const reader: Reader<FakeRequest> = {
  ip: (request) => request.ip,
  peer: (request) => request.peer ?? request.ip,
  method: (request) => request.method ?? 'GET',
  target: (request) => request.url ?? '/',
  route: (request) => request.route,
  header: (request, name) => request.headers?.[name],
  user: (request) => request.user,
  earlier: () => undefined,
  proxies: { trust: () => 'some', forwarded: () => undefined, remedy: '' },
  digest: (text) => createHash('sha256').update(text).digest('base64url').slice(0, 22),
  sign: (secret, text) => createHmac('sha256', secret).update(text).digest().subarray(0, 16).toString('base64'),
  warn: () => {},
};

/** A response that nobody has ended. */
export function fakeResponse() {
  return {
    statusCode: 200,
    destroyed: false,
    writableEnded: false,
    once: () => {},
    removeListener: () => {},
    getHeader: () => undefined,
    setHeader: () => {},
  };
}

/** Passes one request after another through a pipeline that answers at once. */
export function passing(options?: RateLimitOptions<FakeRequest> | PolicyText) {
  const pipeline = new Pipeline(reader, options);
  return (request: FakeRequest): Verdict => {
    const response = fakeResponse();
    return pipeline.handle(request, response, response) as Verdict;
  };
}

export type Refused = Extract<Verdict, { action: 'refuse' }>;
