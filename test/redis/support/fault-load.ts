import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { CircuitChange, Decision, StoreErrorMode } from '@sluice/core';
import type { ClientAddress } from './fault-clients.js';

export interface LoadOptions extends ClientAddress {
  /** Processes that share the limits. @default 1 */
  readonly instances?: number;
  /** @default 'fallback' */
  readonly onError?: StoreErrorMode;
}

/** What is asked from now on. */
export interface Phase {
  readonly name: string;
  readonly algorithm: Decision['policy'];
  /** Every other decision is on this key. */
  readonly hot: string;
  readonly hotLimit: number;
  /** The others are on these, in turn. */
  readonly keys: readonly string[];
  readonly limit: number;
}

/** One decision, as a process of the load saw it. */
export interface Ask {
  readonly phase: string;
  readonly key: string;
  /** When it was asked, in milliseconds since the epoch. */
  readonly at: number;
  /** Milliseconds until it was made. */
  readonly took: number;
  /** Milliseconds of these in which the machine kept the process from running. */
  readonly stall: number;
  readonly allowed: boolean;
  readonly source: Decision['source'] | 'error';
  /** The instant of the decision on the store's clock, in milliseconds. */
  readonly decidedAt: number;
  readonly error?: string;
}

/** What a process of the load tells. */
export interface LoadReport {
  readonly asks: readonly Ask[];
  readonly changes: readonly (Pick<CircuitChange, 'circuit' | 'from' | 'to'> & {
    readonly error: string;
    readonly at: number;
  })[];
  /** Commands that the client was given and has not settled, at the most since the last report. */
  readonly unsettled: number;
  /** Commands that the client was given since the last report. */
  readonly given: number;
  /** What nobody caught. */
  readonly crashes: readonly string[];
}

export type LoadMessage = { readonly start: LoadOptions } | { readonly phase: Phase } | { readonly end: true };

/** Milliseconds since the epoch, finely, and the same in all processes. */
export const now = () => performance.timeOrigin + performance.now();

const program = fileURLToPath(new URL('./fault-load-child.ts', import.meta.url));

/** A FaultLoad is a process that asks a RedisStore of its own for a decision every 2 ms, whatever comes. */
export class FaultLoad {
  readonly name: string;
  /** All decisions of the present phase so far. */
  asks: Ask[] = [];
  changes: LoadReport['changes'][number][] = [];
  crashes: string[] = [];
  /** Commands that the client had not settled, at the most in the present phase. */
  unsettled = 0;
  /** Commands that the client was given in the present phase. */
  given = 0;
  readonly #child: ChildProcess;
  readonly #waiting: (() => void)[] = [];
  #phase: string | undefined;
  #stderr = '';

  private constructor(options: LoadOptions) {
    this.name = options.client;
    this.#child = fork(program, [], {
      cwd: dirname(program),
      execArgv: ['--conditions=source', '--import', 'tsx'],
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    this.#child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-5_000);
    });
    this.#child.on('message', (report: LoadReport) => this.#take(report));
    this.#child.on('exit', () => this.#wake());
    this.#child.send({ start: options } satisfies LoadMessage);
  }

  /** Starts the process and resolves when its client is connected. */
  static async start(options: LoadOptions): Promise<FaultLoad> {
    const load = new FaultLoad(options);
    await load.#next();
    return load;
  }

  /** Forgets what was, and asks for these keys from now on. */
  begin(phase: Phase): void {
    this.asks = [];
    this.changes = [];
    this.unsettled = 0;
    this.given = 0;
    this.#phase = phase.name;
    this.#child.send({ phase } satisfies LoadMessage);
  }

  /** Resolves to the first decision of the phase that is such a one. */
  async sees(what: string, isSuch: (ask: Ask) => boolean): Promise<Ask> {
    const end = now() + 30_000;
    for (let seen = 0; ; ) {
      const ask = this.asks.slice(seen).find(isSuch);
      if (ask !== undefined) return ask;
      if (now() > end) throw new Error(`${this.name}: waited in vain for ${what}. ${this.#lately()}`);
      seen = this.asks.length;
      await this.#next();
    }
  }

  /** Ends the process, which must do so by itself: with nothing left to do, and nothing that nobody caught. */
  async end(): Promise<void> {
    if (!this.isAlive) return;
    const exit = once(this.#child, 'exit');
    this.#child.send({ end: true } satisfies LoadMessage);
    await exit;
  }

  get isAlive(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  #take({ asks, changes, unsettled, given, crashes }: LoadReport): void {
    for (const ask of asks) if (ask.phase === this.#phase) this.asks.push(ask);
    this.changes.push(...changes);
    this.crashes.push(...crashes);
    this.unsettled = Math.max(this.unsettled, unsettled);
    this.given += given;
    this.#wake();
  }

  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  /** Resolves with the next report. */
  async #next(): Promise<void> {
    if (this.isAlive) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    if (!this.isAlive) throw new Error(`${this.name}: the process of the load has ended.\n${this.#stderr}`);
  }

  #lately(): string {
    const lately = this.asks.slice(-5).map((ask) => JSON.stringify(ask));
    return `${this.asks.length} decisions, the last:\n${lately.join('\n')}\n${JSON.stringify(this.changes.slice(-5))}`;
  }
}
