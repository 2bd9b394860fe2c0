import assert from 'node:assert/strict';
import type { Server } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import type { Clock } from '@sluice/core';
import { ManualClock } from '@sluice/testing';
import type { App, Framework, Limits, Route } from './apps.ts';

/** An attempt to get one more request to a route than its limit allows. */
export interface Attempt {
  readonly title: string;
  /** Requests that may reach the route in all; without it, the limit of each rule. */
  readonly most?: number;
  readonly route?: Route;
  /** Options beside, or instead of, those of the gateway; `undefined` leaves one of them out. */
  readonly limits?: Partial<Limits> | ((clock: Clock) => Partial<Limits>);
  readonly proxies?: App['proxies'];
  readonly overridesMethod?: boolean;
  readonly rewrites?: boolean;
  readonly mount?: App['mount'];
  run(target: Target): Promise<void>;
}

/** What every rule of the gateway grants in an hour, and what it grants to all requests that no rule matches. */
export const limit = 2;
export const otherwise = 5;

const strict = { limit, window: '1h', algorithm: 'fixed-window' } as const;
const gateway: Limits = {
  limit: otherwise,
  window: '1h',
  algorithm: 'fixed-window',
  rules: [
    { match: 'POST /login', ...strict },
    { match: 'GET /search', ...strict },
    { match: '/users/:id', ...strict },
    { match: '/health', limit: false },
    { match: '/assets/*', limit: false },
  ],
  identity: { ceiling: 3 },
  logger: { warn() {} },
};

export interface Ask {
  /** @default 'POST' */
  readonly method?: string;
  /** @default '/login' */
  readonly path?: string;
  /** Header lines as they go over the wire. */
  readonly headers?: readonly string[];
  readonly version?: string;
}

function withLimits(clock: Clock, limits: Partial<Limits> = {}): Limits {
  const all = { ...gateway, clock, ...limits, identity: { ...gateway.identity, ...limits.identity } };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined)) as Limits;
}

/** A Target is an app under attack, listening, and the wire to it. */
export class Target {
  readonly clock = new ManualClock();
  readonly #reached = new Map<Route, number>();
  readonly #sockets = new Set<Socket>();
  #server: Server | undefined;
  /** Responses that the server has finished. */
  answered = 0;
  /** Connections that the server has seen the end of. */
  disconnections = 0;
  /** What a route does once it is reached: answers, with this status. */
  work: () => Promise<number> = async () => 200;

  static async start(
    framework: Framework,
    { limits, proxies, overridesMethod, rewrites, mount }: Attempt,
  ): Promise<Target> {
    const target = new Target();
    const server = await framework.serve({
      limits: withLimits(target.clock, typeof limits === 'function' ? limits(target.clock) : limits),
      proxies: proxies ?? 'none',
      overridesMethod: overridesMethod ?? false,
      rewrites: rewrites ?? false,
      mount,
      reach(route) {
        target.#reached.set(route, target.reached(route) + 1);
        return target.work();
      },
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    target.#server = server;
    server.prependListener('request', (_, response) => void response.once('finish', () => target.answered++));
    server.on('connection', (socket) => void socket.once('close', () => target.disconnections++));
    return target;
  }

  get port(): number {
    return (this.#server!.address() as AddressInfo).port;
  }

  /** Keeps all routes at work until the gate is opened; they answer with the status then. */
  hold(status = 200): { open(): void } {
    let open = () => {};
    const opened = new Promise<void>((resolve) => {
      open = resolve;
    });
    this.work = () => opened.then(() => status);
    return { open };
  }

  /** How often the handler of a route has run. */
  reached(route: Route): number {
    return this.#reached.get(route) ?? 0;
  }

  /** One request on a connection of its own; resolves with its status, or 0 where there is no answer. */
  async send(ask: Ask = {}): Promise<number> {
    return (await this.raw(bytesOf(ask)))[0] ?? 0;
  }

  /** So many requests, one after another. */
  async repeat(times: number, ask: Ask | ((i: number) => Ask) = {}): Promise<number[]> {
    const statuses: number[] = [];
    for (let i = 0; i < times; i++) statuses.push(await this.send(typeof ask === 'function' ? ask(i) : ask));
    return statuses;
  }

  /** Takes all that is granted, plainly, and sees the refusal. */
  async exhaust(ask: Ask = {}): Promise<void> {
    assert.deepEqual(await this.repeat(limit + 1, ask), [200, 200, 429]);
  }

  /** Sends bytes as they are, and resolves with the statuses of what comes back before the server closes. */
  raw(bytes: string): Promise<number[]> {
    return new Promise((resolve) => {
      const { socket } = this.open(bytes);
      let text = '';
      socket.on('data', (part) => {
        text += part;
      });
      // What the server does not even parse it may cut off while it is being written.
      socket.on('error', () => {});
      socket.once('close', () =>
        resolve([...text.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status))),
      );
    });
  }

  /** Sends bytes on a connection that stays open until one of the two sides closes it. */
  open(bytes: string): { socket: Socket } {
    const socket = connect(this.port, '127.0.0.1', () => socket.write(bytes, 'latin1'));
    socket.setEncoding('latin1');
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
    return { socket };
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise<void>((resolve) => {
      this.#server!.close(() => resolve());
      this.#server!.closeAllConnections();
    });
  }
}

/** A request as it goes over the wire, after which the server closes the connection unless it is told to keep it. */
export function bytesOf({ method = 'POST', path = '/login', headers = [], version = 'HTTP/1.1' }: Ask, keep = false) {
  const lines = [`${method} ${path} ${version}`, 'Host: api.example', ...headers];
  if (method !== 'GET' && method !== 'HEAD') lines.push('Content-Length: 0');
  if (!keep) lines.push('Connection: close');
  return `${lines.join('\r\n')}\r\n\r\n`;
}

/** Waits for something on the server that no response tells about. The test's own time limit bounds it. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise<void>((resolve) => setImmediate(resolve));
}
