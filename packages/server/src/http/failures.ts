import { SluiceError } from '@sluice/core';
import type { FastifyError, FastifyReply } from 'fastify';
import { Problem } from '../problem.js';
import { invalid, type Place, partsOf } from '../validation.js';

/** Answers with problem details, whatever went wrong, and with nothing that is for the operator. */
export function answerError(error: FastifyError | Problem, reply: FastifyReply): void {
  const problem = problemOf(error, reply);
  reply.code(problem.status).headers(problem.headers).type('application/problem+json').send(JSON.stringify(problem));
}

function problemOf(error: FastifyError | Problem, reply: FastifyReply): Problem {
  if (error instanceof Problem) return error;
  if (error.validation !== undefined)
    return invalid(partsOf(error.validation as never, (error.validationContext ?? 'body') as Place));
  const { statusCode = 500, code } = error;
  // The path is not repeated: it may hold an API key.
  if (code === 'FST_ERR_BAD_URL') return invalid([{ parameter: 'path', detail: 'It has an escape that is none.' }]);
  if (code === 'FST_ERR_CTP_EMPTY_JSON_BODY') return invalid([{ pointer: '', detail: 'It is empty, and no JSON.' }]);
  if (code === 'FST_ERR_CTP_INVALID_JSON_BODY' || error instanceof SyntaxError) {
    return invalid([{ pointer: '', detail: `It is no JSON: ${error.message}.` }]);
  }
  if (error instanceof SluiceError && (error as SluiceError & { statusCode?: number }).statusCode === 400) {
    return new Problem(400, 'Invalid request', error.message, [{ pointer: '/endpoint', detail: error.message }]);
  }
  if (error instanceof SluiceError && error.code === 'NO_IDENTITY') {
    return lacksAddress('');
  }
  if (error instanceof SluiceError && (error.code === 'STORE_UNAVAILABLE' || error.code === 'STORE_TIMEOUT')) {
    return new Problem(503, 'Service unavailable', error.message);
  }
  if (code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE') {
    return new Problem(
      415,
      titleOf(415),
      'The body is not of a type that is taken here. Send JSON, with Content-Type: application/json.',
    );
  }
  if (statusCode >= 400 && statusCode < 500)
    return new Problem(statusCode, titleOf(statusCode), `${error.message}.`.replace(/\.\.$/, '.'));
  reply.log.error({ err: error }, 'a request has failed');
  return new Problem(500, 'Internal server error', 'The request has failed. The log of the service says more.');
}

function titleOf(status: number): string {
  return (
    {
      404: 'Not found',
      405: 'Method not allowed',
      408: 'Request timeout',
      413: 'Content too large',
      415: 'Unsupported media type',
      431: 'Header fields too large',
    }[status] ?? 'Invalid request'
  );
}

/** The problem of a check that a rule counts by an address it does not have; `pointer` is where the check stands. */
export function lacksAddress(pointer: string): Problem {
  const detail =
    "The rule for this request counts by 'ip', or by what the check does not name either, for which the ip stands in. " +
    'Send the ip of the client too.';
  return invalid([{ pointer: `${pointer}/ip`, detail }]);
}
