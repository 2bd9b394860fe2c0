import { isIPv4 } from 'node:net';
import { ipKey } from '@sluice/core';
import { type LogLine, parseLogLine } from './log-line.js';

/** What makes one client: the address, or the authenticated user where there is one. */
export type ClientKind = 'ip' | 'user';

/** An AccessLog is a log in order of time, kept as columns: eight bytes a request, however long its line was. */
export interface AccessLog {
  /** Seconds since the epoch of each request, in ascending order. */
  readonly times: Uint32Array;
  /** Whose each request was: an index of `clients`. */
  readonly owners: Uint32Array;
  /** Keys as the middleware forms them: `ip:203.0.113.7`, `user:alice`; `host:…` where the log has names. */
  readonly clients: readonly string[];
  /** Requests that stood behind a later one in the log. */
  readonly outOfOrder: number;
  readonly malformed: Malformed;
  /** The time zone of the first request, in minutes east of UTC. */
  readonly offset: number;
}

/** Malformed counts the lines that were not in the format, and keeps the first few. */
export interface Malformed {
  count: number;
  readonly first: { readonly line: number; readonly text: string }[];
}

/** How many malformed lines are kept, and how much of each. */
const samples = 5;
const sampleLength = 72;

/** An AccessLogBuilder takes the lines of a log one by one, and orders what it took. */
export class AccessLogBuilder {
  readonly #by: ClientKind;
  readonly #malformed: Malformed = { count: 0, first: [] };
  readonly #clients: string[] = [];
  readonly #indexes = new Map<string, number>();
  /** Indexes by host as logged. */
  readonly #hosts = new Map<string, number>();
  #times = new Uint32Array(1_024);
  #owners = new Uint32Array(1_024);
  #size = 0;
  #latest = 0;
  #outOfOrder = 0;
  #offset = 0;

  constructor(by: ClientKind = 'ip') {
    this.#by = by;
  }

  /** Requests taken so far. */
  get size(): number {
    return this.#size;
  }

  get malformed(): Malformed {
    return this.#malformed;
  }

  /** Takes the line of that number; an empty one counts for nothing. */
  add(text: string, number: number): void {
    if (text === '') return;
    const line = parseLogLine(text);
    if (line === undefined) this.addMalformed(text, number);
    else this.#addRequest(line);
  }

  addMalformed(text: string, number: number): void {
    const { first } = this.#malformed;
    if (this.#malformed.count++ < samples) first.push({ line: number, text: shortened(text) });
  }

  /** The log, ordered by time; requests of the same second stay in the order they were logged. */
  finish(): AccessLog {
    const size = this.#size;
    let times = this.#times.subarray(0, size);
    let owners = this.#owners.subarray(0, size);
    if (this.#outOfOrder > 0) {
      const order = new Uint32Array(size).map((_, i) => i).sort((a, b) => times[a]! - times[b]! || a - b);
      [times, owners] = [order.map((i) => times[i]!), order.map((i) => owners[i]!)];
    }
    return {
      times,
      owners,
      clients: this.#clients,
      outOfOrder: this.#outOfOrder,
      malformed: this.#malformed,
      offset: this.#offset,
    };
  }

  #addRequest(line: LogLine): void {
    if (this.#size === this.#times.length) this.#grow();
    if (this.#size === 0) this.#offset = line.offset;
    if (line.time < this.#latest) this.#outOfOrder++;
    else this.#latest = line.time;
    this.#times[this.#size] = line.time;
    this.#owners[this.#size++] = this.#ownerOf(line);
  }

  #ownerOf({ host, user }: LogLine): number {
    if (this.#by === 'user' && user !== undefined) return this.#indexOf(`user:${user}`);
    let index = this.#hosts.get(host);
    if (index === undefined) {
      index = this.#indexOf(hostKey(host));
      this.#hosts.set(detached(host), index);
    }
    return index;
  }

  #indexOf(client: string): number {
    let index = this.#indexes.get(client);
    if (index === undefined) {
      const key = detached(client);
      index = this.#clients.push(key) - 1;
      this.#indexes.set(key, index);
    }
    return index;
  }

  #grow(): void {
    const [times, owners] = [this.#times, this.#owners];
    this.#times = new Uint32Array(times.length * 2);
    this.#owners = new Uint32Array(times.length * 2);
    this.#times.set(times);
    this.#owners.set(owners);
  }
}

function hostKey(host: string): string {
  // What nearly every line has is in canonical form already, and parsing it would take longer than all the rest.
  if (isIPv4(host)) return `ip:${host}`;
  const key = ipKey(host);
  return key === 'ip:invalid' ? `host:${host.toLowerCase()}` : key;
}

/** A copy of its own: a part of a string keeps the whole alive, here a line of perhaps a megabyte. */
function detached(part: string): string {
  return Buffer.from(part, 'utf16le').toString('utf16le');
}

function shortened(text: string): string {
  return detached(text.length > sampleLength ? `${text.slice(0, sampleLength - 1)}…` : text);
}
