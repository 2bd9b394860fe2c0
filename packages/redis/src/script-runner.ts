import { type Clock, SluiceError } from '@sluice/core';
import { show } from '@sluice/core/toolkit';
import type { RedisClient } from './client.js';
import type { Connection } from './connection.js';
import { explained, isUnknownScript } from './failures.js';
import type { Script } from './scripts/script-family.js';
import { ServerTime } from './server-time.js';

export interface Call {
  readonly script: Script;
  /** Name of the server: the servers of a cluster have clocks of their own. */
  readonly server: string;
  readonly keys: readonly string[];
  /** What stands behind the fence. */
  readonly args: readonly string[];
  /** Microseconds of this process's clock, until when somebody waits for the answer. @default the deadline from now */
  readonly until?: number | undefined;
  /** Sends the script itself, not its digest, so that nothing is sent twice. */
  readonly whole?: boolean;
  /**
   * Waits for a connection that was lost. Nothing else does: the server that is connected to next may have lost its
   * counts, and must be told of them before it decides.
   */
  readonly patient?: boolean;
  /**
   * Gives units back. Done twice, that would grant too much; so it is void before a client that sends commands again can
   * have connected anew, even where the deadline is longer.
   */
  readonly isRefund?: boolean;
}

export interface RunnerOptions {
  readonly clock: Clock;
  /** Microseconds that a call may take. */
  readonly deadline: number;
  /** Whether the client sends what was not answered again, on another connection. */
  readonly sendsAgain: boolean;
  /** Is told of each answer, by the server's name and the instant at which the call was sent. */
  readonly onReply?: ((server: string, sentAt: number) => void) | undefined;
}

/** Microseconds; an ioredis with its default options waits 50 ms before it connects anew. */
const shortestReconnection = 40_000;

/**
 * A ScriptRunner runs scripts so that each takes effect at most once. Every call carries a fence: the time of the server
 * from which on nobody waits for the answer. What arrives later, sent again by a client that had lost its connection or
 * read by a server that was stopped, finds its fence passed and changes nothing.
 */
export class ScriptRunner {
  readonly #client: RedisClient;
  readonly #connection: Connection;
  readonly #clock: Clock;
  readonly #deadline: number;
  readonly #sendsAgain: boolean;
  readonly #onReply: ((server: string, sentAt: number) => void) | undefined;
  readonly #times = new Map<string, ServerTime>();

  constructor(client: RedisClient, connection: Connection, { clock, deadline, sendsAgain, onReply }: RunnerOptions) {
    this.#client = client;
    this.#connection = connection;
    this.#clock = clock;
    this.#deadline = deadline;
    this.#sendsAgain = sendsAgain;
    this.#onReply = onReply;
  }

  /** The instant at which the answer to a call that begins now is due. */
  due(): number {
    return this.#clock.now() + this.#deadline;
  }

  get isConnected(): boolean {
    return this.#connection.isReady;
  }

  /** Sends the call before it returns, if the client is ready. Resolves to the reply, whose first number is the time. */
  async run(call: Call): Promise<readonly number[]> {
    let until = call.until ?? this.due();
    const time = this.#timeOf(call.server);
    if (!this.#connection.isReady) {
      await this.#connection.untilReady(call.patient);
      if (call.patient) until = this.due();
    }
    const reply = await this.#attempt(call, time, until);
    if (reply.length > 1) return reply;
    if (!call.isRefund || !this.#sendsAgain) {
      // Too late by the server's clock, which was not known yet, or was set. What had no effect can be sent again.
      const again = await this.#attempt(call, time, until);
      if (again.length > 1) return again;
    }
    throw tooLate('reached Redis only after');
  }

  async #attempt(call: Call, time: ServerTime, until: number): Promise<readonly number[]> {
    const { script, keys, args, whole, isRefund } = call;
    const sent = this.#clock.now();
    if (sent >= until) throw tooLate('could not be sent to Redis within');
    const fence = isRefund && this.#sendsAgain ? Math.min(until, sent + shortestReconnection + time.trip) : until;
    const rest = [...keys, String(time.at(fence)), ...args];
    let reply: unknown;
    try {
      reply = whole
        ? await this.#client.eval(script.text, keys.length, ...rest)
        : await this.#client.evalsha(script.sha, keys.length, ...rest).then(undefined, (error: unknown) => {
            if (!isUnknownScript(error)) throw error;
            // It has not run: nothing is charged twice. Loads it on this very server, wherever in a cluster that is.
            return this.#client.eval(script.text, keys.length, ...rest);
          });
    } catch (error) {
      throw explained(error, keys, this.#client.isCluster === true);
    }
    const numbers = numbersOf(reply);
    const received = this.#clock.now();
    // What was answered late says nothing: the server, or this process, stood still meanwhile.
    if (received < fence) {
      if (numbers.length === 1) time.forget();
      time.learn(numbers[0]!, sent, received);
    }
    this.#onReply?.(call.server, sent);
    return numbers;
  }

  #timeOf(server: string): ServerTime {
    let time = this.#times.get(server);
    if (time === undefined) {
      // Servers come and go; what is forgotten is learned with the next call.
      if (this.#times.size >= 1_000) this.#times.clear();
      time = new ServerTime();
      this.#times.set(server, time);
    }
    return time;
  }
}

function tooLate(how: string): SluiceError {
  return new SluiceError('STORE_TIMEOUT', `The call ${how} its deadline, and changed nothing.`);
}

/** Clients may be set to give numbers as texts. */
function numbersOf(reply: unknown): readonly number[] {
  if (Array.isArray(reply) && reply.length > 0) {
    if (reply.every(isNumber)) return reply;
    const numbers = reply.map((text) => (typeof text === 'string' ? Number(text) : Number.NaN));
    if (numbers.every(isNumber)) return numbers;
  }
  throw new Error(`Redis answered a script with ${show(reply)}, not with numbers.`);
}

function isNumber(value: unknown): value is number {
  return Number.isFinite(value);
}
