// How long does each of many requests take, with hardly any work for the client?
import { connect } from 'node:net';
import type { Wire } from './service-requests.js';

export interface Timing {
  readonly perSecond: number;
  /** Microseconds from the request to the last byte of its answer. */
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
  /** The share of the answers that were made without Redis, which had not answered in time. */
  readonly fallback: number;
}

export interface Job {
  readonly port: number;
  readonly requests: number;
  /** Connections that are kept; each has one request under way. */
  readonly connections: number;
}

const good = 'HTTP/1.1 200';
const lengthField = 'content-length: ';
const fallback = '"source":"fallback"';

/** Sends the wires in turn until so many are answered by 200. */
export async function time({ port, requests, connections }: Job, wires: readonly Wire[]): Promise<Timing> {
  const micros = new Float64Array(requests);
  let sent = 0;
  let apart = 0;
  const next = () => (sent < requests ? sent++ : undefined);
  const onAnswer = (i: number, took: number, answer: string) => {
    micros[i] = took;
    if (answer.includes(fallback)) apart++;
  };
  const start = performance.now();
  await Promise.all(Array.from({ length: connections }, () => converse(port, wires, next, onAnswer)));
  const seconds = (performance.now() - start) / 1_000;
  micros.sort();
  const [p50, p99, p999] = [0.5, 0.99, 0.999].map((share) => micros[Math.floor((requests - 1) * share)]!);
  return { perSecond: requests / seconds, p50: p50!, p99: p99!, p999: p999!, fallback: apart / requests };
}

function converse(
  port: number,
  wires: readonly Wire[],
  next: () => number | undefined,
  onAnswer: (i: number, micros: number, answer: string) => void,
): Promise<void> {
  return new Promise((resolve, reject) => {
    let current = 0;
    let begun = 0;
    let answer = '';
    /** Characters of the whole answer; 0 before the end of its header has come. */
    let length = 0;
    const socket = connect({ port, host: '127.0.0.1', noDelay: true }, () => send());
    const send = () => {
      const i = next();
      if (i === undefined) {
        resolve();
        socket.destroy();
        return;
      }
      current = i;
      begun = performance.now();
      socket.write(wires[i % wires.length]!);
    };
    socket.on('error', reject);
    socket.on('close', () => reject(new Error('the server closed the connection')));
    socket.on('data', (chunk: Buffer) => {
      answer += chunk.toString('latin1');
      if (length === 0) {
        const end = answer.indexOf('\r\n\r\n');
        if (end < 0) return;
        const at = answer.indexOf(lengthField);
        if (!answer.startsWith(good) || at < 0 || at > end) {
          socket.destroy(new Error(`the server answered ${answer}`));
          return;
        }
        length = end + 4 + Number.parseInt(answer.slice(at + lengthField.length, end), 10);
      }
      if (answer.length < length) return;
      onAnswer(current, (performance.now() - begun) * 1_000, answer);
      answer = '';
      length = 0;
      send();
    });
  });
}
