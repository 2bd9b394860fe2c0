import { type ClientRequest, createServer, type OutgoingHttpHeaders, request, Server } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import supertest, { type Response, type Test } from 'supertest';
import type { AppSetup, BuiltApp } from './setup.js';

/** What a case is given. */
export interface Bench<R> {
  start(setup?: Partial<AppSetup<R>> & { socketPath?: string }): Promise<Scene>;
  header(request: R, name: string): string | undefined;
}

export type Define<R> = (title: string, run: (bench: Bench<R>) => Promise<void>) => void;

/** A Scene is one app under test, listening, and the ways to ask it. */
export class Scene {
  /** What reached the framework's error handling. */
  readonly errors: unknown[];
  /** Clients that are connected, as far as the server has noticed. */
  connections = 0;
  readonly #server: Server;

  private constructor(server: Server, errors: unknown[]) {
    this.#server = server;
    this.errors = errors;
    server.on('connection', (socket) => {
      this.connections++;
      socket.once('close', () => {
        this.connections--;
      });
    });
  }

  static async start<R>(
    serve: (setup: AppSetup<R>) => BuiltApp | PromiseLike<BuiltApp>,
    { socketPath, ...setup }: Partial<AppSetup<R>> & { socketPath?: string } = {},
  ): Promise<Scene> {
    const errors: unknown[] = [];
    const app = await serve({
      limiters: [],
      made: () => {},
      routes: [],
      login: undefined,
      proxies: 'none',
      earlierHeaders: {},
      authenticate: () => undefined,
      handle: async () => ({ status: 200, body: 'done' }),
      failed: (error) => void errors.push(error),
      ...setup,
    });
    const server = app instanceof Server ? app : createServer(app);
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      if (socketPath === undefined) server.listen(0, '127.0.0.1', resolve);
      else server.listen(socketPath, resolve);
    });
    return new Scene(server, errors);
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get(headers: Record<string, string> = {}, path = '/'): Test {
    return this.ask().get(path).set(headers);
  }

  login(): Test {
    return this.ask().post('/login');
  }

  ask() {
    return supertest(`http://127.0.0.1:${this.port}`);
  }

  /** The statuses of so many requests, one after another. */
  async statuses(times: number, headers?: Record<string, string>): Promise<number[]> {
    const statuses: number[] = [];
    for (let i = 0; i < times; i++) statuses.push((await this.get(headers)).status);
    return statuses;
  }

  /** A request that a case can take back, or whose headers supertest would not send as they are. */
  open(headers: OutgoingHttpHeaders = {}): Opened {
    const call = request({ host: '127.0.0.1', port: this.port, headers, agent: false });
    const status = new Promise<number | undefined>((resolve) => {
      call.once('response', (response) => resolve(response.resume().statusCode));
      call.once('error', () => resolve(undefined));
    });
    call.end();
    return { call, status };
  }

  /** Sends bytes as they are, and resolves with all that comes back before the server closes. */
  raw(bytes: string): Promise<string> {
    return new Promise((resolve, reject) => {
      let text = '';
      const socket = connect(this.port, '127.0.0.1', () => socket.write(bytes, 'latin1'));
      socket.setEncoding('latin1');
      socket.on('data', (part) => {
        text += part;
      });
      socket.once('error', reject);
      socket.once('close', () => resolve(text));
    });
  }

  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }
}

export interface Opened {
  readonly call: ClientRequest;
  /** Resolves with `undefined` when the request was taken back. */
  readonly status: Promise<number | undefined>;
}

/** The legacy fields of a response, as numbers; `undefined` where one is missing. */
export function fields({ headers }: Response): (number | undefined)[] {
  return ['x-ratelimit-limit', 'x-ratelimit-remaining', 'x-ratelimit-reset'].map((name) =>
    headers[name] === undefined ? undefined : Number(headers[name]),
  );
}

export function remaining(response: Response): number {
  return Number(response.headers['x-ratelimit-remaining']);
}

/** The names of the policies that a response tells of in `RateLimit-Policy`. */
export function policiesOf({ headers }: Response): string[] {
  const text: string = headers['ratelimit-policy'] ?? '';
  return [...text.matchAll(/"([^"]+)";q=/g)].map((match) => match[1]!);
}

/** Waits for something on the server that no response tells about. The test's own time limit bounds it. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise<void>((resolve) => setImmediate(resolve));
}
