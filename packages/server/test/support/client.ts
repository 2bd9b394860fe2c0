import { Agent, type IncomingHttpHeaders, request } from 'node:http';

/** What a service has answered. */
export interface Reply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  /** The body as JSON; reading it throws where it is none. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into it as the API says.
  readonly json: any;
}

/** A request, and what was answered. */
export interface Exchange {
  readonly method: string;
  readonly path: string;
  readonly reply: Reply;
}

export type HeaderFields = Readonly<Record<string, string | string[]>>;

/** A Client sends requests over connections of its own, which it keeps. Paths go out exactly as they are given. */
export class Client {
  readonly url: string;
  /** All that was sent so far and answered. */
  readonly exchanges: Exchange[] = [];
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 64 });
  readonly #headers: HeaderFields;

  /** `headers` go with every request. */
  constructor(url: string, headers: HeaderFields = {}) {
    this.url = url;
    this.#headers = headers;
  }

  get(path: string, headers?: HeaderFields): Promise<Reply> {
    return this.send('GET', path, undefined, headers);
  }

  /** A body that is no text is sent as JSON; text is sent as it is, as JSON too unless `headers` say otherwise. */
  post(path: string, body?: unknown, headers?: HeaderFields): Promise<Reply> {
    return this.send('POST', path, body, headers);
  }

  put(path: string, body?: unknown, headers?: HeaderFields): Promise<Reply> {
    return this.send('PUT', path, body, headers);
  }

  delete(path: string, headers?: HeaderFields): Promise<Reply> {
    return this.send('DELETE', path, undefined, headers);
  }

  check(body: unknown, headers?: HeaderFields): Promise<Reply> {
    return this.post('/ratelimit/check', body, headers);
  }

  send(method: string, path: string, body?: unknown, headers: HeaderFields = {}): Promise<Reply> {
    const text = body === undefined || typeof body === 'string' ? body : JSON.stringify(body);
    const fields: Record<string, string | string[]> = { ...this.#headers, ...headers };
    if (text !== undefined) {
      fields['content-type'] ??= 'application/json';
      fields['content-length'] ??= String(Buffer.byteLength(text));
    }
    const { hostname, port } = new URL(this.url);
    return new Promise((resolve, reject) => {
      const sent = request(
        { agent: this.#agent, host: hostname.replace(/^\[|\]$/g, ''), port, method, path, headers: fields },
        (response) => {
          let received = '';
          response.setEncoding('utf8').on('data', (part) => {
            received += part;
          });
          response.once('error', reject);
          response.once('end', () => {
            const reply = new ReceivedReply(response.statusCode!, response.headers, received);
            this.exchanges.push({ method, path, reply });
            resolve(reply);
          });
        },
      );
      sent.once('error', reject);
      sent.end(text);
    });
  }

  close(): void {
    this.#agent.destroy();
  }
}

class ReceivedReply implements Reply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;

  constructor(status: number, headers: IncomingHttpHeaders, text: string) {
    this.status = status;
    this.headers = headers;
    this.text = text;
  }

  get json(): unknown {
    return JSON.parse(this.text);
  }
}
