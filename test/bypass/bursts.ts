import assert from 'node:assert/strict';
import { Agent, request } from 'node:http';
import { setImmediate } from 'node:timers/promises';
import { type Ask, type Attempt, bytesOf, limit, type Target, until } from './attack.ts';

const many = 50;
const each = <T>(make: (i: number) => T) => Array.from({ length: many }, (_, i) => make(i));

/** Sends all requests at once, on connections that are used again. */
async function overKeptConnections(target: Target, sockets: number): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: sockets });
  const status = () =>
    new Promise<number | undefined>((resolve, reject) => {
      const call = request({ host: '127.0.0.1', port: target.port, method: 'POST', path: '/login', agent });
      call.once('response', (response) => {
        response.resume().once('end', () => resolve(response.statusCode));
      });
      call.once('error', reject).end();
    });
  const statuses = await Promise.all(each(status));
  agent.destroy();
  assert.equal(statuses.filter((one) => one === 429).length, many - limit);
}

/** Requests one after another on one connection, without waiting for an answer. */
async function pipelined(target: Target, ask: (i: number) => Ask = () => ({})): Promise<void> {
  const all = each((i) => bytesOf(ask(i), i < many - 1)).join('');
  assert.equal((await target.raw(all)).length, many);
}

const spellings = ['/login', '/LOGIN', '/login/', '//login', '/%6cogin', '/x/../login', '/login?x', '/login;x'];

export const bursts: readonly Attempt[] = [
  {
    title: 'fifty requests at once, each on a connection of its own',
    async run(target) {
      const statuses = await Promise.all(each(() => target.send()));
      assert.equal(statuses.filter((one) => one === 429).length, many - limit);
      assert.equal(target.reached('POST /login'), limit);
    },
  },
  { title: 'fifty requests at once on kept connections', run: (target) => overKeptConnections(target, many) },
  { title: 'fifty requests at once on five kept connections', run: (target) => overKeptConnections(target, 5) },
  { title: 'fifty requests in the pipeline of one connection', run: (target) => pipelined(target) },
  {
    title: 'fifty spellings in the pipeline of one connection',
    run: (target) => pipelined(target, (i) => ({ path: spellings[i % spellings.length]! })),
  },
  {
    title: 'fifty requests at once, in eight spellings',
    async run(target) {
      await Promise.all(each((i) => target.send({ path: spellings[i % spellings.length]! })));
    },
  },
  {
    title: 'fifty requests at once, while the key is being looked up',
    limits: {
      async key() {
        await setImmediate();
        return 'everybody';
      },
    },
    async run(target) {
      await Promise.all(each(() => target.send()));
      assert.equal(target.reached('POST /login'), limit);
    },
  },
  {
    title: 'fifty requests at once, while API keys are being verified',
    limits: {
      identity: {
        async verifyApiKey(key) {
          await setImmediate();
          return key === 'good';
        },
      },
    },
    async run(target) {
      await Promise.all(each((i) => target.send({ headers: [`X-API-Key: ${i % 2 === 0 ? 'good' : i}`] })));
      // Those of the key, and those of the address.
      assert.equal(target.reached('POST /login'), 2 * limit);
    },
    most: 2 * limit,
  },
  {
    title: 'fifty requests at once, while the first ones are at work',
    async run(target) {
      const gate = target.hold();
      const all = each(() => target.send());
      await until(() => target.answered === many - limit);
      gate.open();
      assert.equal((await Promise.all(all)).filter((one) => one === 200).length, limit);
    },
  },
  {
    title: 'more requests at work than there are places',
    limits: { limit: 1_000, window: '1h', concurrency: 2, rules: [] },
    async run(target) {
      const gate = target.hold();
      const all = each(() => target.send());
      await until(() => target.answered === many - 2);
      assert.equal(target.reached('POST /login'), 2);
      gate.open();
      await Promise.all(all);
    },
  },
  {
    title: 'more requests at work than there are places, in several spellings and with API keys',
    limits: { limit: 1_000, window: '1h', key: 'ip', concurrency: 2, rules: [] },
    async run(target) {
      const gate = target.hold();
      const all = each((i) =>
        target.send({ path: `${spellings[i % 3]}`, headers: [`X-API-Key: ${i}`, `X-Forwarded-For: 198.51.100.${i}`] }),
      );
      await until(() => target.answered >= many - 2);
      gate.open();
      await Promise.all(all);
    },
  },
  {
    title: 'the end of one window and the start of the next, of a sliding log',
    limits: {
      rules: [{ match: 'POST /login', limit, window: '1m', algorithm: 'sliding-window-log' }],
    },
    async run(target) {
      await target.clock.pass(59_000);
      await target.repeat(3);
      await target.clock.pass(59_999);
      await target.repeat(3);
    },
  },
  {
    title: 'several policies, of which the longer one is exhausted',
    most: 3,
    limits: { rules: [{ match: 'POST /login', limits: ['2/1s', '3/1d'] }] },
    async run(target) {
      for (let i = 0; i < 4; i++) {
        await target.repeat(3);
        await target.clock.pass(2_000);
      }
      assert.equal(target.reached('POST /login'), 3);
    },
  },
];
