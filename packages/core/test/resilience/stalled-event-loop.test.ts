import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { Worker } from 'node:worker_threads';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Charge } from '../../src/charge.ts';
import type { Decision } from '../../src/decision.ts';
import { compilePolicies } from '../../src/policy.ts';
import { GuardedStore } from '../../src/resilience/guarded-store.ts';
import type { Store } from '../../src/store.ts';

/** Runs in a thread of its own, so that it goes on while the event loop of the test stands still. */
const echoServer = `
  const { createServer } = require('node:net');
  const { parentPort } = require('node:worker_threads');
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.on('data', (data) => {
      if (data.toString() !== 'silence') setTimeout(() => socket.write(data), 20);
    });
  });
  server.listen(0, '127.0.0.1', () => parentPort.postMessage(server.address().port));
`;

const [policy] = compilePolicies(['5/1m'], 'policies');

let worker: Worker;
let socket: Socket;

beforeAll(async () => {
  worker = new Worker(echoServer, { eval: true });
  const [port] = await once(worker, 'message');
  socket = connect(port, '127.0.0.1');
  await once(socket, 'connect');
});

afterAll(async () => {
  socket.destroy();
  await worker.terminate();
});

/** Sends the key, and answers what comes back. */
async function send(charges: readonly Charge[]): Promise<readonly Decision[]> {
  socket.write(charges[0]!.key);
  const [data] = await once(socket, 'data');
  return data.toString();
}

const store: Store = { consume: send, peek: send, release: () => {}, reset: () => {} };

/** Asks, and holds up the event loop far beyond the deadline. */
async function askAndStall(key: string): Promise<unknown> {
  const guarded = new GuardedStore(store, { deadline: 50, probe: async () => {} });
  // In this phase of the event loop timers come next, before the sockets are read.
  await new Promise((resolve) => setImmediate(resolve));
  const answer = guarded.consume([{ policy: policy!, key, cost: 1 }]);
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 300);
  return answer;
}

it('takes the answer that came while the event loop was held up beyond the deadline', async () => {
  expect(await askAndStall('hello')).toBe('hello');
});

it('gives up a store that was silent while the event loop was held up', async () => {
  await expect(askAndStall('silence')).rejects.toMatchObject({ code: 'STORE_TIMEOUT' });
});
