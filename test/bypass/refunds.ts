import assert from 'node:assert/strict';
import { type Attempt, bytesOf, limit, type Target, until } from './attack.ts';

/** Starts a request, and leaves as soon as the route is at work on it. */
async function leaveAtWork(target: Target): Promise<void> {
  const before = target.reached('POST /login');
  const gate = target.hold();
  const { socket } = target.open(bytesOf({}));
  socket.on('error', () => {});
  await until(() => target.reached('POST /login') > before);
  const closed = target.disconnections;
  socket.destroy();
  await until(() => target.disconnections > closed);
  gate.open();
}

export const refunds: readonly Attempt[] = [
  ...([true, async () => true] as const).map(
    (skipFailed): Attempt => ({
      title: `leaving before the answer, where failures are free${skipFailed === true ? '' : ' by a judge'}`,
      limits: { skipFailed },
      async run(target) {
        for (let i = 0; i < limit; i++) await leaveAtWork(target);
        assert.equal(await target.send(), 429);
      },
    }),
  ),
  {
    title: 'leaving before the answer, where successes are free',
    limits: { skipSuccessful: true },
    async run(target) {
      for (let i = 0; i < limit; i++) await leaveAtWork(target);
      assert.equal(await target.send(), 429);
    },
  },
  {
    title: 'fifty guesses at once, where successes are free and all fail',
    limits: { skipSuccessful: true },
    async run(target) {
      target.work = async () => 401;
      await Promise.all(Array.from({ length: 50 }, () => target.send()));
      assert.equal(target.reached('POST /login'), limit);
    },
  },
  {
    title: 'fifty requests at work at once, where failures are free',
    limits: { skipFailed: true },
    async run(target) {
      const gate = target.hold(500);
      const all = Array.from({ length: 50 }, () => target.send());
      await until(() => target.answered === 50 - limit);
      assert.equal(target.reached('POST /login'), limit);
      gate.open();
      await Promise.all(all);
    },
  },
  {
    title: 'failing where the status says that it did not',
    limits: { skipFailed: true },
    async run(target) {
      target.work = async () => 302;
      await target.repeat(6, { headers: ['Accept: nothing/at-all', 'Expect: 100-continue'] });
    },
  },
  {
    title: 'refusals, which must not count as failures that give something back',
    limits: { skipFailed: true },
    async run(target) {
      await target.exhaust();
      await target.repeat(6);
    },
  },
  {
    title: 'a body that never comes',
    async run(target) {
      await target.exhaust();
      for (let i = 0; i < 4; i++) {
        const { socket } = target.open('POST /login HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc');
        await new Promise((resolve) => socket.once('data', resolve));
        socket.destroy();
      }
    },
  },
];
