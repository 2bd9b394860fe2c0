import { connect, type Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import { dataDirectory, ended, started } from './command.ts';

async function connected(url: string, text = ''): Promise<Socket & { received: string }> {
  const { port, hostname } = new URL(url);
  const socket = Object.assign(connect(Number(port), hostname), { received: '' });
  socket.setEncoding('utf8').on('data', (part) => {
    socket.received += part;
  });
  socket.on('error', () => {});
  await new Promise((resolve) => socket.once('connect', resolve));
  if (text !== '') await new Promise((resolve) => socket.write(text, resolve));
  return socket;
}

describe('a service that is told to end', () => {
  it('under load answers what it has begun, and has every answer, user and number after the next start', async () => {
    const dataDir = dataDirectory();
    // Nothing comes back within the test, so that what is left tells how much was taken.
    const args = ['--data-dir', dataDir, '--limit', '1000000', '--window', '365d', '--algorithm', 'fixed-window'];
    const first = await started(args);
    await first.client.put('/ratelimit/rules/a', {
      endpoint: '/a',
      limit: 1_000_000,
      window: '365d',
      algorithm: 'fixed-window',
    });
    await first.client.post('/users?user_id=limited&max_tokens=77&refill_rate=2');
    const granted = new Map<string, number>();
    let answers = 0;
    let refusedWhileClosing = 0;
    let failed = 0;
    const worker = async (user: string) => {
      for (;;) {
        const reply = await first.client.check({ user_id: user, endpoint: '/a' }).catch(() => undefined);
        if (reply === undefined) return failed++;
        if (reply.status === 503) return refusedWhileClosing++;
        expect(reply.status).toBe(200);
        granted.set(user, (granted.get(user) ?? 0) + 1);
        if (++answers === 2_000) first.running.child.kill('SIGTERM');
      }
    };
    const workers = Array.from({ length: 24 }, (_, i) => worker(`user-${i % 8}`));
    await Promise.all(workers);
    expect(await first.running.ended()).toMatchObject({ code: 0, stderr: '' });
    expect(answers).toBeGreaterThanOrEqual(2_000);
    expect(refusedWhileClosing + failed).toBe(24);

    const second = await started(args);
    let total = 0;
    for (const [user, count] of granted) {
      const { policies } = (await second.client.get(`/ratelimit/status/${user}`)).json;
      const state = policies.find(({ rule }: { rule: string }) => rule === 'a');
      // What was taken and not answered would be lost; what was answered and not kept would be granted twice.
      expect(1_000_000 - state.remaining, user).toBe(count);
      total += count;
    }
    const { users } = (await second.client.get('/users')).json;
    expect(users.map(({ user_id }: { user_id: string }) => user_id).sort()).toEqual(
      [...granted.keys(), 'limited'].sort(),
    );
    expect((await second.client.get('/users?user_id=limited')).json).toMatchObject({ max_tokens: 77, custom: true });
    const { series } = (await second.client.get('/ratelimit/analytics?by=rule&step=1m')).json;

    const counted = series.flatMap(({ points }: { points: { allowed?: number }[] }) =>
      points.map((p) => p.allowed ?? 0),
    );
    expect(counted.reduce((a: number, b: number) => a + b, 0)).toBe(total);
    const { top } = (await second.client.get('/ratelimit/analytics/top?by=requests&window=1h')).json;
    expect(top).toHaveLength(granted.size);
    await ended(second);
  });

  it('answers a request whose body is still coming in, and takes what it asks for', async () => {
    const dataDir = dataDirectory();
    const first = await started(['--data-dir', dataDir]);
    const body = JSON.stringify({ endpoint: '/late', limit: 7, window: '1h' });
    const head = `PUT /ratelimit/rules/late HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n`;
    const socket = await connected(first.client.url, head + body.slice(0, 10));
    // Later than what was sent before it, this answer shows that the service has it.
    await first.client.get('/livez');
    first.running.child.kill('SIGTERM');
    await expect
      .poll(() =>
        first.client.get('/livez').then(
          ({ status }) => status,
          () => 'closed',
        ),
      )
      .not.toBe(200);
    socket.write(body.slice(10));
    await new Promise((resolve) => socket.once('close', resolve));
    expect(socket.received).toMatch(/^HTTP\/1\.1 201 /);
    expect(await first.running.ended()).toMatchObject({ code: 0, stderr: '' });
    const second = await started(['--data-dir', dataDir]);
    expect((await second.client.get('/ratelimit/rules/late')).json).toMatchObject({ limit: 7 });
    await ended(second);
  });

  it.each([
    ['says nothing', ''],
    ['stops amid a header', 'GET /livez HTTP/1.1\r\nHo'],
    [
      'stops amid a body',
      'POST /ratelimit/check HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{',
    ],
    ['keeps its connection', 'GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n'],
  ])('ends, and saves everything, though a client %s', async (_, text) => {
    const dataDir = dataDirectory();
    const first = await started(['--data-dir', dataDir]);
    const socket = await connected(first.client.url, text);
    expect((await first.client.check({ user_id: 'alice' })).json.remaining).toBe(999);
    await ended(first);
    socket.destroy();
    const second = await started(['--data-dir', dataDir]);
    expect((await second.client.check({ user_id: 'alice' })).json.remaining).toBe(998);
    await ended(second);
  });
});
