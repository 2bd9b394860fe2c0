/** A Reader is what core asks an adapter about a request: one per framework, without any rule of its own. */
export interface Reader<R> {
  /** The client's address according to the framework's trusted-proxy setting. */
  ip(request: R): string | undefined;
  /** A request header by its lower-case name, as Node reports it. */
  header(request: R, name: string): string | string[] | undefined;
  /** What authentication left on the request. */
  user(request: R): unknown;
  /** The decision that an earlier limiter's adapter has put on the request, if any. */
  earlier(request: R): unknown;
  /** How the framework's proxy setting can be fooled; see {@link ProxyTrust}. */
  readonly proxies: ProxyTrust<R>;
  /** The first 128 bits of a SHA-256, as 22 characters of base64url. */
  digest(text: string): string;
  /** Tells the operator something, once. */
  warn(message: string): void;
}

/**
 * ProxyTrust tells whether the framework is set to believe every hop that a request claims to have come through: then
 * the address it reports is whatever the client wrote first.
 */
export interface ProxyTrust<R> {
  trustsAnyone(request: R): boolean;
  /** The header that lists the hops. */
  forwarded(request: R): string | string[] | undefined;
  /** The address at the other end of the connection. */
  peer(request: R): string | undefined;
  /** What to set instead, for the warning. */
  readonly remedy: string;
}

/** The part of Node's ServerResponse that is used. */
export interface ResponseLike {
  readonly statusCode: number;
  readonly destroyed: boolean;
  /** Whether the handler has ended the response. */
  readonly writableEnded: boolean;
  /** Of HTTP/2: whether the client has reset the stream. */
  readonly stream?: { readonly aborted?: boolean };
  once(event: 'close' | 'finish', listener: () => void): unknown;
  removeListener(event: 'close' | 'finish', listener: () => void): unknown;
}

/** Where the headers of the response are collected: the response itself, or Fastify's reply. */
export interface HeaderSource {
  getHeader(name: string): unknown;
}
