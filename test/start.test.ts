import { join } from 'node:path';
import { expect, it } from 'vitest';
import { root } from './support/documents.js';
import { Program, run, succeed } from './support/run.js';
import { systemCommand } from './support/system-command.js';

it('pnpm start builds and runs a server whose last curl line ends in a 429', async () => {
  const curl = await systemCommand('curl');
  const program = new Program('npx', ['-y', 'pnpm@12', 'start'], { cwd: root, env: { PORT: '0' } });
  try {
    await program.says(/Ctrl\+C/);
    const lines = program.output.match(/^ {2}curl .*$/gm) ?? [];
    expect(lines).toHaveLength(3);
    const outputs: string[] = [];
    for (const line of lines) outputs.push(await succeed('sh', ['-c', line.trim().replace(/^curl/, `'${curl}'`)]));
    expect(outputs[0]).toMatch(/^HTTP\/1\.1 200 /);
    const last = outputs[2]!.slice(outputs[2]!.lastIndexOf('HTTP/1.1'));
    expect(last).toMatch(/^HTTP\/1\.1 429 /);
    expect(last).toMatch(/^Retry-After: \d+\r$/m);
  } finally {
    await program.end();
  }
  const [url] = /http:\/\/127\.0\.0\.1:\d+\//.exec(program.output) ?? [];
  await expect(fetch(url!), 'the server ends with its package manager').rejects.toThrow('fetch failed');
});

it('pnpm replay plays a log and says what would have been refused', async () => {
  const log = join(root, 'packages/replay/test/fixtures/excerpt.clf');
  const { code, stdout, stderr } = await run(
    'npx',
    ['-y', 'pnpm@12', 'replay', log, '--policy', '2/1m', '--algorithm', 'token-bucket'],
    { cwd: root },
  );
  expect(stderr).not.toMatch(/error/i);
  expect(stdout).toMatch(/refused/);
  expect(code).toBe(0);
});
