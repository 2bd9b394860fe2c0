import { EventEmitter } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { stopSignal } from '../../src/commands/stop-signal.ts';
import { cli, dist, folder, Running, sluice } from './running.ts';

describe('sluice serve', () => {
  /** The command with another service behind it, which tells what it is asked. */
  function serving(service: string, flags: object = {}, env: Record<string, string> = {}): Running {
    const program = `
      import { serve } from ${JSON.stringify(join(dist, 'commands/serve.js'))};
      const url = 'http://127.0.0.1:8080';
      process.exit(await serve(${JSON.stringify(flags)}, async (settings) => { ${service} }));`;
    return new Running(['--input-type=module', '-e', program], env);
  }
  /** A service that ends when it is told to. */
  const listens = `
    return { url, async close() { process.stdout.write('closed\\n'); } };`;

  it('starts the service, and ends with 0 when it is told to', async () => {
    const running = new Running([cli, 'serve', '--port', '0', '--data-dir', 'real', '--log-level', 'warn']);
    await running.says(/listening on .*\n/);
    const [line, url] = /^sluice: listening on (\S+) \(embedded, data in (.*)\)\n$/.exec(running.stdout)!;
    expect(line).toContain(join(folder, 'real'));
    expect((await fetch(`${url}/livez`)).status).toBe(200);

    const port = new URL(url!).port;
    const second = await sluice(['serve', '--port', port, '--data-dir', 'other', '--log-level', 'warn']);
    expect(second).toEqual({
      code: 1,
      stdout: '',
      stderr:
        `sluice: something else listens on 127.0.0.1 port ${port} (EADDRINUSE). ` +
        'End it, or choose another port with --port.\n',
    });

    running.child.kill('SIGTERM');
    expect(await running.ended()).toMatchObject({ code: 0, stderr: '' });
  });

  it.each(['SIGTERM', 'SIGINT'] as const)('says where it listens, and closes on %s', async (signal) => {
    const running = serving(listens);
    await running.says(/listening/);
    running.child.kill(signal);
    expect(await running.ended()).toEqual({
      code: 0,
      stdout: `sluice: listening on http://127.0.0.1:8080 (embedded, data in ${join(folder, '.sluice')})\nclosed\n`,
      stderr: '',
    });
  });

  it.each<[object, string]>([
    [{ dataDir: ['data'] }, `embedded, data in ${join(folder, 'data')}`],
    [{ redis: ['redis://:pass@10.0.0.1:1/2'], instances: ['2'] }, 'Redis at redis://10.0.0.1:1/2'],
    [{ redis: ['redis://a', 'rediss://u:p@b'], instances: ['2'] }, 'Redis cluster at redis://a, rediss://b'],
    [
      { redis: ['redis://a', 'redis://b'], redisSentinel: ['main'], instances: ['2'] },
      'Redis, master main of the sentinels redis://a, redis://b',
    ],
  ])('of %j says where its data is, without a password', async (flags, text) => {
    const running = serving(listens, flags);
    await running.says(/listening/);
    running.child.kill('SIGTERM');
    expect((await running.ended()).stdout).toContain(`(${text})\n`);
  });

  it('closes a service that was asked to end while it started', async () => {
    const running = serving(`
      process.stdout.write('starting\\n');
      await new Promise((resolve) => process.on('SIGTERM', resolve));
      ${listens}`);
    await running.says(/starting/);
    running.child.kill('SIGTERM');
    const { code, stdout } = await running.ended();
    expect({ code, end: stdout.endsWith('closed\n') }).toEqual({ code: 0, end: true });
  });

  it('ends at once, with 130, on a second signal', async () => {
    const running = serving(`
      return { url, close: () => { process.stdout.write('closing\\n'); return new Promise(() => {}); } };`);
    await running.says(/listening/);
    running.child.kill('SIGTERM');
    await running.says(/closing/);
    const repeated = setInterval(() => running.child.kill('SIGINT'), 50);
    const { code } = await running.ended();
    clearInterval(repeated);
    expect(code).toBe(130);
  });

  it('takes the signal that a package manager sends on for the same signal', async () => {
    let now = 0;
    const exits: number[] = [];
    const process = Object.assign(new EventEmitter(), { exit: (code: number) => exits.push(code) });
    const stopped = stopSignal(process, () => now);
    process.emit('SIGINT');
    await stopped;
    now += 299;
    process.emit('SIGTERM');
    expect(exits).toEqual([]);
    now += 1;
    process.emit('SIGINT');
    expect(exits).toEqual([130]);
  });

  it.each<[string, string]>([
    [
      "throw Object.assign(new Error('x'), { code: 'EADDRINUSE' })",
      'something else listens on 127.0.0.1 port 8080 (EADDRINUSE). End it, or choose another port with --port.',
    ],
    ["throw new Error('the data of\\n 2 are damaged')", 'the data of 2 are damaged'],
    ['throw undefined', 'undefined'],
    ["return { url, close: async () => { throw new Error('disk full') } }", 'disk full'],
  ])('tells in one line that it could not do %j, and ends with 1', async (service, reason) => {
    const running = serving(`setTimeout(() => process.kill(process.pid, 'SIGTERM'), 10); ${service}`);
    expect(await running.ended()).toMatchObject({ code: 1, stderr: `sluice: ${reason}\n` });
  });

  it('starts with what the file of SLUICE_CONFIG says, and warns of what is unwise', async () => {
    writeFileSync(join(folder, 'serve.yaml'), 'port: 1234\nhost: localhost\n');
    const running = serving(
      "process.stdout.write(JSON.stringify([settings.host, settings.port])); throw new Error('enough')",
      { host: ['::1'], checkToken: ['0123456789abcdef'] },
      { SLUICE_CONFIG: 'serve.yaml' },
    );
    const { stdout, stderr } = await running.ended();
    expect(stdout).toBe('["::1",1234]');
    expect(stderr.split('\n')).toEqual([
      expect.stringMatching(/^sluice: warning: --check-token: everybody .* Use --check-token-file instead\.$/),
      'sluice: enough',
      '',
    ]);
  });
});
