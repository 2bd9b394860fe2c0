import { type Clock, SluiceError } from '@sluice/core';
import { type Call, mostKeys } from './call.js';
import type { RedisClient } from './client.js';
import type { Connection } from './connection.js';
import { concernsKeys, explained, isReplica, isUnknownScript } from './failures.js';
import { GatheredWrites } from './gathered-writes.js';
import type { Question } from './question.js';
import { type Answers, answersOf, numbersOf, resolveAll, type Trouble } from './reply.js';
import type { Script } from './scripts/script-family.js';
import type { Operation, Scripts } from './scripts/scripts.js';
import { ServerTime } from './server-time.js';

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

/** Microseconds: fences of calls that are sent together are told so exactly, and never later than they are. */
const fenceUnit = 100;

/** Each stands for a question that calls of a batch ask, from '0' on: there are no more of them than keys. */
const characters = Array.from({ length: mostKeys }, (_, i) => String.fromCharCode(48 + i));

/**
 * A ScriptRunner runs scripts so that each call takes effect at most once. Every call carries a fence: the time of the
 * server from which on nobody waits for the answer. What arrives later, sent again by a client that had lost its connection
 * or read by a server that was stopped, finds its fence passed and changes nothing.
 */
export class ScriptRunner {
  readonly #client: RedisClient;
  readonly #connection: Connection;
  readonly #scripts: Scripts;
  readonly #clock: Clock;
  readonly #deadline: number;
  readonly #sendsAgain: boolean;
  readonly #onReply: ((server: string, sentAt: number) => void) | undefined;
  readonly #writes: GatheredWrites;
  readonly #stopListening: () => void;
  readonly #times = new Map<string, ServerTime>();
  /** By the server: scripts that it has run since the client was last connected anew. */
  readonly #loaded = new Map<string, WeakSet<Script>>();
  /**
   * Of the algorithms that were in a batch so far. Batches that follow each other closely are of the same script: one that
   * is found missing, and sent again, would come behind another that is not.
   */
  #letters = '';

  constructor(client: RedisClient, connection: Connection, scripts: Scripts, options: RunnerOptions) {
    const { clock, deadline, sendsAgain, onReply } = options;
    this.#deadline = deadline;
    this.#client = client;
    this.#connection = connection;
    this.#writes = new GatheredWrites(client, connection);
    this.#scripts = scripts;
    this.#clock = clock;
    this.#sendsAgain = sendsAgain;
    this.#onReply = onReply;
    this.#stopListening = connection.onReconnect(() => this.#loaded.clear());
  }

  /** What has been sent is answered as ever. */
  close(): void {
    this.#stopListening();
    this.#writes.close();
  }

  now(): number {
    return this.#clock.now();
  }

  /** The instant at which the answer to a call that begins now is due. */
  due(): number {
    return this.#clock.now() + this.#deadline;
  }

  get isConnected(): boolean {
    return this.#connection.isReady;
  }

  /** Whether a call to that server and its answer take more than a quarter of the deadline, as far as it is known. */
  isFar(server: string): boolean {
    const { trip } = this.#timeOf(server);
    return Number.isFinite(trip) && trip > this.#deadline / 4;
  }

  /**
   * Sends calls that one script can answer, before it returns if the client is ready; calls whose time is up are not sent.
   * `answered` is called once, when there is a reply or it is known that there will be none. Returns whether the server is
   * known to have the script: one that is found missing, and sent again, comes behind what was sent after it.
   */
  send(calls: readonly Call[], answered: () => void): boolean {
    if (this.#connection.isReady) return this.#attempt(calls, answered, false);
    // Nothing waits for a connection that was lost: the server that is connected to next may have lost its counts, and
    // must be told of them before it decides.
    this.#connection.untilReady().then(
      () => this.#attempt(calls, answered, false),
      (error: unknown) => {
        answered();
        for (const call of calls) call.reject(error);
      },
    );
    return false;
  }

  /** Finds out whether that server takes writes, as soon as there is a connection. `key` is one that nothing else uses. */
  async probe(server: string, key: string): Promise<void> {
    if (!this.#connection.isReady) await this.#connection.untilReady(true);
    const until = this.due();
    const isInTime = async () => {
      const sent = this.#clock.now();
      const rest = [key, String(this.#timeOf(server).at(until))];
      const message = { script: this.#scripts.probe, keys: 1, rest, isWhole: false };
      const reply = numbersOf(await new Promise((take, fail) => this.#run(server, message, take, fail)));
      this.#learn(server, reply[0]!, sent, until, reply.length === 1, this.#clock.now());
      return reply.length > 1;
    };
    if (!(await isInTime()) && !(await isInTime())) throw tooLate('reached Redis only after');
  }

  #attempt(asked: readonly Call[], answered: () => void, isAgain: boolean): boolean {
    const sent = this.#clock.now();
    const calls = this.#inTime(asked, sent);
    if (calls.length === 0) {
      answered();
      return true;
    }
    const message = calls.length === 1 ? this.#alone(calls[0]!, sent) : this.#together(calls, sent);
    const { server } = calls[0]!;
    const { script } = message;
    const loaded = this.#loadedOn(server);
    const isLoaded = loaded.has(script);
    this.#run(
      server,
      message,
      (reply) => {
        if (!isLoaded) loaded.add(script);
        answered();
        this.#settle(calls, reply, sent, message.until, isAgain);
      },
      (error) => {
        answered();
        this.#fail(calls, error);
      },
    );
    return isLoaded;
  }

  /** Those of the calls that somebody still waits for. */
  #inTime(calls: readonly Call[], now: number): readonly Call[] {
    let isLate = false;
    for (let i = 0; i < calls.length; i++) if (calls[i]!.until <= now) isLate = true;
    if (!isLate) return calls;
    const error = tooLate('could not be sent to Redis within');
    for (const call of calls) if (call.until <= now) call.reject(error);
    return calls.filter(({ until }) => until > now);
  }

  #settle(calls: readonly Call[], reply: unknown, sent: number, until: number, isAgain: boolean): void {
    let answers: Answers;
    try {
      answers = answersOf(calls, reply);
    } catch (error) {
      for (const call of calls) call.reject(error);
      return;
    }
    const { numbers, troubles } = answers;
    const now = this.#clock.now();
    const isWrong =
      troubles?.some(({ call, error }) => error === undefined && now < this.#fenceOf(call, sent)) ?? false;
    this.#learn(calls[0]!.server, numbers[0] as number, sent, until, isWrong, now);
    if (numbers.length > 1) resolveAll(calls, numbers);
    if (troubles !== undefined) this.#mend(troubles, isAgain);
  }

  /** What came too late by the server's clock, or failed by itself. */
  #mend(troubles: readonly Trouble[], isAgain: boolean): void {
    let isFirst = true;
    for (const { call, error } of troubles) {
      if (error === undefined) {
        // The server's clock was not known yet, or was set. What had no effect can be sent again.
        if (!isAgain && !this.#isVoidSoon(call)) this.#attempt([call], () => {}, true);
        else call.reject(tooLate('reached Redis only after'));
        continue;
      }
      // A client that is to leave a server which has become a replica must see a command fail so.
      if (isFirst && isReplica(error)) this.#attempt([call], () => {}, true);
      else this.#fail([call], error);
      isFirst = false;
    }
  }

  #fail(calls: readonly Call[], error: unknown): void {
    // The server has not looked at any of them: each is a matter of its own keys.
    if (calls.length > 1 && concernsKeys(error)) for (const call of calls) this.#attempt([call], () => {}, false);
    else for (const call of calls) call.reject(explained(error, call.keys, this.#client.isCluster === true));
  }

  #alone(call: Call, sent: number): Message {
    const { operation, letters, args } = call.question;
    const until = this.#fenceOf(call, sent);
    const rest = [...call.keys, String(this.#timeOf(call.server).at(until)), ...args];
    const script = this.#scripts.alone(operation, letters, call.keys.length);
    return { script, keys: call.keys.length, rest, until, isWhole: isWhole(operation) };
  }

  #together(calls: readonly Call[], sent: number): Message {
    const time = this.#timeOf(calls[0]!.server);
    const rest: string[] = [];
    const questions: Question[] = [];
    let asked = '';
    let last = -1;
    let earliest = Number.POSITIVE_INFINITY;
    let latest = 0;
    for (let i = 0; i < calls.length; i++) {
      const call = calls[i]!;
      const { keys, question } = call;
      for (let k = 0; k < keys.length; k++) rest.push(keys[k]!);
      const until = this.#fenceOf(call, sent);
      if (until < earliest) earliest = until;
      if (until > latest) latest = until;
      // Most often the next one asks the same.
      if (questions[last] !== question) last = this.#numberOf(question, questions);
      asked += characters[last];
    }
    const keys = rest.length;
    let fences = '';
    for (let i = 0; i < calls.length; i++) {
      fences += `${Math.floor((this.#fenceOf(calls[i]!, sent) - earliest) / fenceUnit)} `;
    }
    rest.push(String(time.at(latest)), String(time.at(earliest)), fences, asked);
    for (const { operation, keys, args } of questions) rest.push(operation, String(keys), ...args);
    const whole = questions.some(({ operation }) => isWhole(operation));
    return { script: this.#scripts.batch.for(this.#letters), keys, rest, until: latest, isWhole: whole };
  }

  /** The place of a question among those that are asked, where it is put if none is the same. */
  #numberOf(question: Question, questions: Question[]): number {
    const { text } = question;
    const number = questions.findIndex((one) => one.text === text);
    if (number >= 0) return number;
    for (const letter of question.letters) if (!this.#letters.includes(letter)) this.#letters += letter;
    return questions.push(question) - 1;
  }

  /**
   * The instant from which on a call is void. To give units back twice would grant too much; so that is void before a
   * client that sends commands again can have connected anew, even where the deadline is longer.
   */
  #fenceOf(call: Call, sent: number): number {
    if (!this.#isVoidSoon(call)) return call.until;
    return Math.min(call.until, sent + shortestReconnection + this.#timeOf(call.server).trip);
  }

  #isVoidSoon({ question }: Call): boolean {
    return this.#sendsAgain && question.operation === 'release';
  }

  #run(
    server: string,
    { script: { text, sha }, keys, rest, isWhole }: Omit<Message, 'until'>,
    take: (reply: unknown) => void,
    fail: (error: unknown) => void,
  ): void {
    try {
      this.#writes.begin(server);
      if (isWhole) this.#client.eval(text, keys, ...rest).then(take, fail);
      else {
        this.#client.evalsha(sha, keys, ...rest).then(take, (error: unknown) => {
          // It has not run: nothing is charged twice. Loads it on this very server, wherever in a cluster that is.
          if (isUnknownScript(error)) {
            this.#loaded.delete(server);
            this.#run(server, { script: { text, sha }, keys, rest, isWhole: true }, take, fail);
          } else fail(error);
        });
      }
    } catch (error) {
      // A client that throws must not hold up the calls that wait.
      Promise.reject(error).then(take, fail);
    }
  }

  /** `isWrong`: the server has found something too late that was not, by this process's clock. */
  #learn(server: string, time: number, sent: number, until: number, isWrong: boolean, received: number): void {
    const known = this.#timeOf(server);
    // What was answered late says nothing: the server, or this process, stood still meanwhile.
    if (received < until) {
      if (isWrong) known.forget();
      known.learn(time, sent, received);
    }
    this.#onReply?.(server, sent);
  }

  #loadedOn(server: string): WeakSet<Script> {
    let loaded = this.#loaded.get(server);
    if (loaded === undefined) {
      if (this.#loaded.size >= 1_000) this.#loaded.clear();
      loaded = new WeakSet();
      this.#loaded.set(server, loaded);
    }
    return loaded;
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

/** What is sent for one call, or for many. */
interface Message {
  readonly script: Script;
  /** How many keys there are. */
  readonly keys: number;
  /** The keys, and the arguments behind them. */
  readonly rest: readonly string[];
  /** The latest instant at which any of it has an effect. */
  readonly until: number;
  readonly isWhole: boolean;
}

/** A script that is found missing and sent again arrives behind the call that a `lower` must precede. */
function isWhole(operation: Operation): boolean {
  return operation === 'lower';
}

function tooLate(how: string): SluiceError {
  return new SluiceError('STORE_TIMEOUT', `The call ${how} its deadline, and changed nothing.`);
}
