import { SluiceError, show } from '../errors.js';
import { isPromise, type MaybePromise } from '../maybe-promise.js';
import { checkNames, checkType } from '../options.js';
import { checkHeaderNames, type HeaderNames, sentAs } from './headers/names.js';
import type { RequestDecision } from './ledger.js';

export type { HeaderNames } from './headers/names.js';

/** What is answered instead of problem details: a text is sent as `text/plain`, an object as JSON. */
export type Message = string | object;

/** How requests are answered. */
export interface ResponseOptions<R> {
  /** Of refusals for want of quota: from 400 to 599. @default 429 */
  statusCode?: number;
  /** The body of refusals for want of quota. @default problem details as of RFC 9457, or HTML or text */
  message?: Message | ((request: R, decision: RequestDecision) => MaybePromise<Message>);
  /**
   * Other names for header fields, or `false` for those that are not sent:
   * `{ 'X-RateLimit-Limit': 'X-Quota', 'Retry-After': false }`.
   */
  headerNames?: HeaderNames;
  /** The name under which the decision is put on the request. @default 'rateLimit' */
  property?: string;
  /** Hands refusals to the framework's error handling. @default false */
  throw?: boolean;
  /**
   * The secret, of at least 16 characters, that makes the partition keys of `draft-8` and `draft-11`: with it, clients can
   * tell by `pk` which requests share a quota, and learn nothing else. @default none: no `pk` is sent
   */
  partitionKey?: string;
}

/** The ResponseOptions, checked. */
export interface CompiledResponse<R> {
  readonly statusCode: number;
  /** The body that replaces problem details, where it is the same each time. */
  readonly body: { readonly contentType: string; readonly text: string } | undefined;
  /** Makes the body that replaces problem details. @throws SluiceError for what is neither text nor object. */
  readonly message: ((request: R, decision: RequestDecision) => MaybePromise<Message>) | undefined;
  readonly headerNames: HeaderNames;
  /** `undefined` where Retry-After is not sent. */
  readonly retryAfterName: string | undefined;
  readonly property: string;
  readonly throws: boolean;
  readonly partitionKey: string | undefined;
}

const known = ['statusCode', 'message', 'headerNames', 'property', 'throw', 'partitionKey'] as const;

/** Characters of a secret: of 16, even hexadecimal ones, nobody guesses all. */
const shortestSecret = 16;

/**
 * Checks the options and works out what a response needs of them. Which fields there are to be renamed is up to the
 * styles, and checked by the HeaderWriter.
 * @throws SluiceError naming the option, what is wrong with it and what would be right.
 */
export function compileResponse<R>(options: ResponseOptions<R> = {}, where = 'response'): CompiledResponse<R> {
  checkNames(options, known, where, "{ statusCode: 503, message: 'Slow down.' }");
  checkType(options, 'throw', 'boolean', where);
  const { statusCode = 429, message, headerNames = {}, property = 'rateLimit', partitionKey } = options;
  if (!Number.isInteger(statusCode) || statusCode < 400 || statusCode > 599) {
    throw new SluiceError(
      'INVALID_OPTION',
      `${where}: 'statusCode' must be an integer from 400 to 599; got ${show(statusCode)}.`,
    );
  }
  if (typeof headerNames !== 'object' || headerNames === null || Array.isArray(headerNames)) {
    throw new SluiceError(
      'INVALID_OPTION',
      `${where}: 'headerNames' takes names by field, like { 'Retry-After': false }; got ${show(headerNames)}.`,
    );
  }
  checkHeaderNames(headerNames, `${where}: 'headerNames'`);
  checkProperty(property, where);
  if (partitionKey !== undefined && (typeof partitionKey !== 'string' || partitionKey.length < shortestSecret)) {
    // It is a secret: not even a wrong one is shown.
    throw new SluiceError(
      'INVALID_OPTION',
      `${where}: 'partitionKey' must be a secret text of at least ${shortestSecret} characters; got ` +
        `${typeof partitionKey === 'string' ? `one of ${partitionKey.length}` : typeof partitionKey}.`,
    );
  }
  return {
    statusCode,
    body: message === undefined || typeof message === 'function' ? undefined : bodyOf(message, where),
    message: typeof message === 'function' ? checked(message as MessageFunction<R>, where) : undefined,
    headerNames,
    retryAfterName: sentAs('Retry-After', headerNames),
    property,
    throws: options.throw ?? false,
    partitionKey,
  };
}

/** What is on a request, and read there, in one framework or another. */
const ofRequests: readonly string[] = [
  ...[
    'app',
    'baseUrl',
    'body',
    'context',
    'cookies',
    'headers',
    'host',
    'hostname',
    'id',
    'ip',
    'ips',
    'log',
    'method',
  ],
  ...['next', 'on', 'once', 'originalUrl', 'params', 'path', 'pipe', 'protocol', 'query', 'raw', 'rawHeaders', 'res'],
  ...['route', 'routeOptions', 'server', 'session', 'signedCookies', 'socket', 'state', 'url', 'user'],
];

type MessageFunction<R> = (request: R, decision: RequestDecision) => MaybePromise<Message>;

function checkProperty(property: unknown, where: string): asserts property is string {
  const harmful = property === '__proto__' || property === 'constructor' || property === 'prototype';
  if (typeof property !== 'string' || !/^[A-Za-z_$][\w$]*$/.test(property) || harmful) {
    throw new SluiceError(
      'INVALID_OPTION',
      `${where}: 'property' must be the name of a property, like 'rateLimit'; got ${show(property)}.`,
    );
  }
  if (!ofRequests.includes(property)) return;
  throw new SluiceError(
    'INVALID_OPTION',
    `${where}: 'property' must not be '${property}', which requests have already. Choose another name, like 'rateLimit'.`,
  );
}

function bodyOf(message: Message, where: string): { contentType: string; text: string } {
  checkMessage(message, where);
  if (typeof message === 'string') return { contentType: 'text/plain; charset=utf-8', text: message };
  let text: string | undefined;
  let cause: unknown;
  try {
    text = JSON.stringify(message);
  } catch (error) {
    cause = error;
  }
  if (typeof text === 'string') return { contentType: 'application/json; charset=utf-8', text };
  throw new SluiceError(
    'INVALID_OPTION',
    `${where}: 'message' has no JSON text: ${show(message)}. Give a text, or an object that JSON can hold.`,
    { cause },
  );
}

/** The function, whose answers are checked. */
function checked<R>(message: MessageFunction<R>, where: string): MessageFunction<R> {
  const check = (answer: Message): Message => {
    checkMessage(answer, where);
    return answer;
  };
  return (request, decision) => {
    const answer = message(request, decision);
    return isPromise(answer) ? answer.then(check) : check(answer);
  };
}

function checkMessage(message: unknown, where: string): asserts message is Message {
  if (typeof message === 'string' || (typeof message === 'object' && message !== null)) return;
  throw new SluiceError(
    'INVALID_OPTION',
    `${where}: 'message' must be a text, an object, or a function that returns one of these; got ${show(message)}.`,
  );
}
