import type { IncomingHttpHeaders, RequestListener, Server } from 'node:http';
import type { Decision, PolicyText, RateLimitOptions } from '@sluice/core';

/** What `rateLimit` of an adapter takes. */
export type Limits<R> = RateLimitOptions<R> | PolicyText | undefined;

/**
 * An app for one case. It has two routes, `GET /` and `POST /login`, both answered by `handle`; for everything else the
 * framework's own 404.
 */
export interface AppSetup<R> {
  /** Limiters of the whole app, in this order, behind `earlierHeaders` and `authenticate`. */
  readonly limiters: readonly Limits<R>[];
  /** A limiter of `POST /login` alone, behind those of the app. */
  readonly login: Limits<R>;
  /** Which hops of X-Forwarded-For the framework is told to believe: none, one on the loopback address, or all. */
  readonly proxies: 'none' | 'one' | 'all';
  /** Headers that something before the limiters sets on each response. */
  readonly earlierHeaders: Readonly<Record<string, string>>;
  /** What authentication leaves on a request, before the limiters: a user, or `undefined`. */
  authenticate(headers: IncomingHttpHeaders): unknown;
  /**
   * What the routes do: they answer with this status and text, or throw what it throws. It is given the decision that
   * the adapter put on the request.
   */
  handle(decision: Decision | null | undefined): Promise<Answer>;
  /** To be called with every error that reaches the framework's error handling, which then answers 500. */
  failed(error: unknown): void;
}

export interface Answer {
  readonly status: number;
  readonly body: string;
}

/** A Node server that does not listen yet, or what to make one of. */
export type BuiltApp = Server | RequestListener;
