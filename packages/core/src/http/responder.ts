import type { Decision } from '../decision.js';
import type { RefusalKind } from '../engine/judgement.js';
import { isPromise, type MaybePromise } from '../maybe-promise.js';
import { Memo } from '../memo.js';
import type { Exchange } from './exchange.js';
import { exposeHeaders, type HeaderFields, HeaderWriter, retryAfterSeconds } from './headers.js';
import { Ledger, type Voice } from './ledger.js';
import type { RateLimitOptions, RefusalAnswer, RefusalHandler } from './options.js';
import { RateLimitError } from './rate-limit-error.js';
import type { Reader } from './reader.js';
import { customised, type LimitedResponse, type Refusal, RefusalWriter } from './refusal.js';
import { type CompiledResponse, compileResponse } from './response.js';
import type { Verdict } from './verdict.js';

/** A Responder turns decisions into header fields and answers. */
export class Responder<R, S> {
  readonly response: CompiledResponse<R>;
  readonly #reader: Reader<R>;
  /** How this limiter tells clients of their limits. */
  readonly voice: Voice;
  readonly #refusals: RefusalWriter;
  readonly #onLimited: RefusalHandler<R, S> | undefined;
  readonly #onBanned: RefusalHandler<R, S> | undefined;

  constructor(reader: Reader<R>, options: RateLimitOptions<R, S>) {
    this.#reader = reader;
    this.response = compileResponse(options.response ?? {}, 'response');
    const writer = new HeaderWriter(options.headers ?? 'legacy', this.response);
    this.#refusals = new RefusalWriter(this.response);
    const secret = this.response.partitionKey;
    const partitions = secret === undefined ? undefined : new Memo((key) => reader.sign(secret, key));
    this.voice = { writer, partitionOf: partitions && ((key) => partitions.get(key)) };
    this.#onLimited = options.onLimited;
    this.#onBanned = options.onBanned;
  }

  /** What a client is told of a decision, whether it passes or not. */
  fields(ledger: Ledger): HeaderFields {
    const fields: HeaderFields = {};
    this.#write(fields, ledger);
    const seconds = ledger.allowed ? undefined : retryAfterSeconds(ledger);
    const name = this.response.retryAfterName;
    if (seconds !== undefined && name !== undefined) fields[name] = String(seconds);
    return fields;
  }

  pass({ request, headers }: Exchange<R, S>, ledger: Ledger): Verdict {
    const fields: HeaderFields = {};
    this.#write(fields, ledger);
    this.#expose(request, headers, fields);
    return { action: 'pass', decision: ledger, headers: fields };
  }

  /** `own` is the decision of the limiter that refuses, which says when to come back. */
  refuse(exchange: Exchange<R, S>, ledger: Ledger, own: Decision, kind: RefusalKind): MaybePromise<Verdict> {
    const { request, headers } = exchange;
    const fields: HeaderFields = {};
    if (kind !== 'blocked') this.#write(fields, ledger);
    const seconds = retryAfterSeconds(own);
    const name = this.response.retryAfterName;
    if (seconds !== undefined && name !== undefined) fields[name] = String(seconds);
    this.#expose(request, headers, fields);
    fields['Cache-Control'] = 'no-store';
    const refusal = this.#refusals.write(
      kind,
      fields,
      own,
      Ledger.ownLines(ledger),
      this.#reader.header(request, 'accept'),
    );
    const refused: Verdict = { action: 'refuse', decision: ledger, ...refusal };
    const handler = kind === 'blocked' || kind === 'banned' ? this.#onBanned : this.#onLimited;
    if (handler !== undefined) return this.#ask(handler, exchange, ledger, refusal);
    if (this.response.throws) return this.#fail(ledger, refusal, errorOf(refusal, ledger, own));
    if (kind !== 'quota' || this.response.message === undefined) return refused;
    return this.#replace(ledger, refusal, this.response.message(request, ledger));
  }

  #ask(
    handler: RefusalHandler<R, S>,
    { request, response, headers }: Exchange<R, S>,
    ledger: Ledger,
    refusal: Refusal,
  ): MaybePromise<Verdict> {
    // Whoever answers by himself finds them there.
    for (const name in refusal.headers) if (name !== 'Content-Type') response.setHeader(name, refusal.headers[name]!);
    const conclude = (answer: RefusalAnswer): Verdict => {
      // Frameworks' methods for answering return the response, and many a handler returns what they do.
      const answered = answer === 'answered' || (answer as unknown) === headers || response.headersSent === true;
      if (answered || response.writableEnded) return { action: 'answered', decision: ledger };
      if (answer instanceof Error) return this.#fail(ledger, refusal, answer);
      return { action: 'refuse', decision: ledger, ...customised(refusal, answer) };
    };
    const answer = handler(request, ledger, headers);
    return isPromise(answer) ? answer.then(conclude) : conclude(answer);
  }

  #replace(ledger: Ledger, refusal: Refusal, message: MaybePromise<string | object>): MaybePromise<Verdict> {
    const conclude = (body: string | object): Verdict => {
      const answer: LimitedResponse = { body };
      return { action: 'refuse', decision: ledger, ...customised(refusal, answer) };
    };
    return isPromise(message) ? message.then(conclude) : conclude(message);
  }

  #fail(ledger: Ledger, refusal: Refusal, error: Error): Verdict {
    const { 'Content-Type': _, ...headers } = refusal.headers;
    return { action: 'fail', decision: ledger, headers, error };
  }

  /** What limiters before have told is told anew in their own way: it has changed, and may be missing what this one adds. */
  #write(fields: HeaderFields, ledger: Ledger): void {
    const voices = Ledger.voices(ledger);
    if (voices === undefined) {
      write(fields, ledger, this.voice, this.voice.partitionOf);
      return;
    }
    const partitionOf = voices.findLast((voice) => voice.partitionOf !== undefined)?.partitionOf;
    for (const voice of voices) write(fields, ledger, voice, partitionOf);
  }

  /** Lets scripts of other origins read what is in `fields`. */
  #expose(request: R, headers: { getHeader(name: string): unknown }, fields: HeaderFields): void {
    if (this.#reader.header(request, 'origin') === undefined) return;
    const names = Object.keys(fields);
    if (names.length === 0) return;
    fields['Access-Control-Expose-Headers'] = exposeHeaders(headers.getHeader('access-control-expose-headers'), names);
  }
}

const none: readonly never[] = [];

function write(fields: HeaderFields, ledger: Ledger, { writer }: Voice, partitionOf: Voice['partitionOf']): void {
  writer.write(fields, ledger, writer.needsLines ? Ledger.lines(ledger) : none, partitionOf);
}

function errorOf({ status, headers }: Refusal, ledger: Ledger, { policy, retryAfter }: Decision): RateLimitError {
  const when = retryAfter === Number.POSITIVE_INFINITY ? '' : ` Try again in ${Math.ceil(retryAfter / 1_000)} s.`;
  const { 'Content-Type': _, ...fields } = headers;
  return new RateLimitError(`Policy '${policy}' has refused the request.${when}`, status, fields, ledger);
}
