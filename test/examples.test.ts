import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Program, run, succeed } from './support/run.js';
import { systemCommand } from './support/system-command.js';

const folder = new URL('../examples/', import.meta.url);
const node = [process.execPath, ['--conditions=source', '--import', 'tsx']] as const;

let program: Program | undefined;
let curl: string;
beforeAll(async () => {
  curl = await systemCommand('curl');
});
afterEach(async () => {
  await program?.end();
  program = undefined;
});

/** Starts an example and runs the curl lines that it prints; returns the status codes that each line saw. */
async function statusesOf(example: string): Promise<number[][]> {
  const cwd = fileURLToPath(new URL(example, folder));
  program = new Program(node[0], [...node[1], 'server.ts'], { cwd, env: { PORT: '0' } });
  await program.says(/Listening on http.*\n(?:.*\n)*? {2}curl .*\n(?: {2}curl .*\n)*/);
  const lines = program.output.match(/^ {2}curl .*$/gm) ?? [];
  const statuses: number[][] = [];
  for (const line of lines) {
    const output = await succeed('sh', ['-c', line.trim().replace(/^curl/, `'${curl}'`)]);
    statuses.push([...output.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map((match) => Number(match[1])));
  }
  return statuses;
}

describe('the examples', () => {
  it('express answers the curl lines it prints, and the last answer is a 429', async () => {
    const [first, second, third] = await statusesOf('express');
    expect(first).toEqual([200]);
    expect(second).toEqual([200, 200]);
    expect(third?.slice(0, 2)).toEqual([200, 200]);
    expect(third?.at(-1)).toBe(429);
  });

  it('koa limits its login route', async () => {
    expect(await statusesOf('koa')).toEqual([[200], [200, 200, 200, 429]]);
  });

  it('fastify limits its login route', async () => {
    expect(await statusesOf('fastify')).toEqual([[200], [200, 200, 200, 429]]);
  });

  it('per-route limits failed logins, and exports by their cost', async () => {
    const [logins, pages] = await statusesOf('per-route');
    expect(logins).toEqual([401, 401, 401, 429]);
    expect(pages).toEqual([200]);
    const url = /http:\/\/[^/]+/.exec(program?.output ?? '')?.[0];
    const statuses = await Promise.all([1, 2, 3].map(async () => (await fetch(`${url}/export?pages=20`)).status));
    expect(statuses.sort()).toEqual([200, 429, 429]);
    expect((await fetch(`${url}/export?pages=abc`)).status).toBe(200);
  });

  it('worker-pacing lets jobs go in order, and rejects those that would wait too long', async () => {
    const { code, stdout } = await run(node[0], [...node[1], 'main.ts'], {
      cwd: fileURLToPath(new URL('worker-pacing', folder)),
    });
    const done = [...stdout.matchAll(/^job (\d+) after/gm)].map((match) => Number(match[1]));
    expect(done.length).toBeGreaterThanOrEqual(5);
    expect(done).toEqual(done.map((_, i) => i + 1));
    expect(stdout).toMatch(/^job 12 rejected: .*maxWait/m);
    expect(code).toBe(0);
  });

  it('are each at most some 40 lines, and started by one command', () => {
    for (const example of readdirSync(folder)) {
      const { scripts } = JSON.parse(readFileSync(new URL(`${example}/package.json`, folder), 'utf8'));
      const [, main] = /(\S+\.ts)$/.exec(scripts.start) ?? [];
      const lines = readFileSync(new URL(`${example}/${main}`, folder), 'utf8').split('\n').length;
      expect(lines, example).toBeLessThanOrEqual(42);
    }
  });
});
