import type { ResponseLike } from './reader.js';

/** Whether the response is through, or the client has left. Over HTTP/2 it is the stream that knows. */
export function isClosed(response: ResponseLike): boolean {
  const { destroyed } = response;
  if (destroyed !== undefined) return destroyed;
  const { stream } = response;
  return stream?.destroyed === true || stream?.closed === true;
}

/** Runs something once the response is through or the client has left. */
export function whenClosed(response: ResponseLike, run: () => void): void {
  if (isClosed(response)) run();
  else response.once('close', run);
}
