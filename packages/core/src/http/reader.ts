/** A Reader is what core asks an adapter about a request: one per framework, without any rule of its own. */
export interface Reader<R> {
  /** The client's address according to the framework's trusted-proxy setting. */
  ip(request: R): string | undefined;
  /** The address at the other end of the connection. */
  peer(request: R): string | undefined;
  /** A request header by its lower-case name, as Node reports it. */
  header(request: R, name: string): string | string[] | undefined;
  method(request: R): string;
  /** The path with its query, whatever the app is mounted at. */
  target(request: R): string;
  /** The pattern of the route that the framework has matched, where it knows. */
  route(request: R): string | undefined;
  /** What authentication left on the request. */
  user(request: R): unknown;
  /**
   * Whether whoever tells of the request vouches for its API key: of requests that are only told of. There is then no
   * ceiling to it.
   */
  vouches?(request: R): boolean;
  /** What is on the request as `rateLimit`. */
  earlier(request: R): unknown;
  /** How the framework's proxy setting can be fooled; see {@link ProxyTrust}. */
  readonly proxies: ProxyTrust<R>;
  /** The first 128 bits of a SHA-256, as 22 characters of base64url. */
  digest(text: string): string;
  /** The first 128 bits of an HMAC-SHA-256, in base64. */
  sign(secret: string, text: string): string;
  /** Tells the operator something. */
  warn(message: string): void;
}

/** ProxyTrust tells whom the framework is set to believe about where a request comes from. */
export interface ProxyTrust<R> {
  /**
   * `anyone`: it believes every hop that a request claims to have come through, so that the address it reports is
   * whatever the client wrote first. `nobody`: it reports the address at the other end of the connection.
   */
  trust(request: R): 'nobody' | 'some' | 'anyone';
  /** The header that lists the hops. */
  forwarded(request: R): string | string[] | undefined;
  /** What to set, for the warnings. */
  readonly remedy: string;
}

/** The part of Node's ServerResponse that is used. */
export interface ResponseLike {
  readonly statusCode: number;
  /** Absent from responses of HTTP/2. */
  readonly destroyed?: boolean;
  /** Whether the handler has ended the response. */
  readonly writableEnded: boolean;
  readonly headersSent?: boolean;
  /** Of HTTP/2. */
  readonly stream?: { readonly aborted?: boolean; readonly destroyed?: boolean; readonly closed?: boolean };
  setHeader(name: string, value: string): unknown;
  once(event: 'close' | 'finish', listener: () => void): unknown;
  removeListener(event: 'close' | 'finish', listener: () => void): unknown;
}

/** Where the headers of the response are collected: the response itself, or Fastify's reply. */
export interface HeaderSource {
  getHeader(name: string): unknown;
}
