import type { IncomingHttpHeaders, RequestListener, Server } from 'node:http';
import type { Controls, PolicyText, RateLimitOptions, RequestDecision } from '@sluice/core';

/** What `rateLimit` of an adapter takes. */
export type Limits<R> = RateLimitOptions<R> | PolicyText | undefined;

/** A route in the spelling that all frameworks share: static segments and `:params`. */
export interface Route {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE' | 'PATCH';
  readonly path: string;
}

/**
 * An app for one case. It has the routes `GET /` and `POST /login` and those of `routes`, all answered by `handle`; for
 * everything else the framework's own 404.
 */
export interface AppSetup<R> {
  /**
   * Limiters of the whole app, in this order, behind `earlierHeaders` and `authenticate`. Of one with `beforeAuth`, that
   * phase stands before both.
   */
  readonly limiters: readonly Limits<R>[];
  /** To be called with the controls of each limiter of the whole app. */
  made(controls: Controls<R>): void;
  readonly routes: readonly Route[];
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
  handle(decision: RequestDecision | null | undefined): Promise<Answer>;
  /** To be called with every error that reaches the framework's error handling, which then answers 500. */
  failed(error: unknown): void;
}

export interface Answer {
  readonly status: number;
  readonly body: string;
}

/** Whether limits have a phase before authentication. */
export function hasEarlyPhase<R>(limits: Limits<R>): boolean {
  return typeof limits === 'object' && limits.beforeAuth !== undefined;
}

/** A Node server that does not listen yet, or what to make one of. */
export type BuiltApp = Server | RequestListener;
