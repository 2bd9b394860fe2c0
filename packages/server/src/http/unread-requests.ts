import { type ServerResponse, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import { Problem } from '../problem.js';
import { securityFields } from './security-fields.js';

/**
 * Answers, with problem details, a request that could not be read or did not come in whole, and ends the connection: what
 * follows on it has no beginning.
 */
export function answerUnread(error: Error & { readonly code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || socket.destroyed) return;
  // Node keeps here the answer that is being sent. A second one would be taken for a part of it.
  const { _httpMessage: answer } = socket as Socket & { _httpMessage?: ServerResponse | null };
  if (!socket.writable || answer?.headersSent) {
    socket.destroy();
    return;
  }
  const problem = problemOf(error.code);
  const body = JSON.stringify(problem);
  const fields = {
    ...securityFields,
    'content-type': 'application/problem+json',
    'content-length': Buffer.byteLength(body),
    connection: 'close',
  };
  const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`);
  const head = `HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status]}\r\n${lines.join('')}\r\n`;
  socket.write(head + body, () => socket.destroy());
}

function problemOf(code: string | undefined): Problem {
  switch (code) {
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return new Problem(408, 'Request timeout', 'The request has not come in whole in time.');
    case 'HPE_HEADER_OVERFLOW':
      return new Problem(431, 'Header fields too large', 'The header of the request is too long: at most 16 KiB.');
    case 'HPE_CHUNK_EXTENSIONS_OVERFLOW':
      return new Problem(413, 'Content too large', 'The extensions of the chunks are too long.');
    default:
      return new Problem(400, 'Invalid request', `The request is no HTTP/1.1 that can be read (${code ?? 'unknown'}).`);
  }
}
