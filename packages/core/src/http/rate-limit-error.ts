import { SluiceError } from '../errors.js';
import type { HeaderFields } from './headers.js';
import type { RequestDecision } from './ledger.js';

/** A RateLimitError hands a refusal to the framework's error handling, where `response: { throw: true }` asks for that. */
export class RateLimitError extends SluiceError {
  readonly status: number;
  readonly statusCode: number;
  /** The fields of the refusal, which are on the response already. */
  readonly headers: HeaderFields;
  readonly decision: RequestDecision;
  /** The client may read the message. */
  readonly expose = true;

  constructor(message: string, status: number, headers: HeaderFields, decision: RequestDecision) {
    super('LIMITED', message);
    this.name = 'RateLimitError';
    this.status = status;
    this.statusCode = status;
    this.headers = headers;
    this.decision = decision;
  }
}
