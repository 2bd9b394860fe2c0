import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createLimiter } from '@sluice/core';
import { ManualClock } from '@sluice/testing';
import { afterAll, describe, expect, it } from 'vitest';
import { blocksOf, documents, root, tableAfter } from './support/documents.js';
import { Program, run } from './support/run.js';

/** What runs each command that the documents show. */
const commands: Readonly<Record<string, string>> = {
  'npx -y pnpm@12 start': 'start.test.ts',
  'npx -y pnpm@12 test': '.ci/run',
  'pnpm --filter ./examples/koa start': 'examples.test.ts',
  'pnpm replay access.log --policy 60/1m --algorithm token-bucket': 'start.test.ts',
  "npx @sluice/replay access.log.gz --policy 60/1m --policy '60/1m burst 120'": 'packages.test.ts',
  'npm install @sluice/core': 'packages.test.ts',
  'npm install @sluice/express': 'packages.test.ts',
  'npm install @sluice/koa': 'packages.test.ts',
  'npm install @sluice/fastify': 'packages.test.ts',
  'npm install --save-dev @sluice/testing': 'packages.test.ts',
};

// Inside this package, so that the blocks find what they import.
mkdirSync(join(root, 'test/.blocks'), { recursive: true });
const folder = mkdtempSync(join(root, 'test/.blocks/run-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const blocks = documents().flatMap(blocksOf);
const programs = blocks.filter(({ language }) => language === 'ts');

describe('the documents', () => {
  it('show programs that type-check', async () => {
    for (const [i, { text }] of programs.entries()) writeFileSync(join(folder, `block-${i}.ts`), text);
    const config = {
      extends: '../../../tsconfig.check.json',
      compilerOptions: { noUnusedLocals: false },
      include: ['*.ts'],
      exclude: [],
    };
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(config));
    const { code, stdout } = await run(join(root, 'node_modules/.bin/tsc'), ['-p', folder]);
    expect(stdout).toBe('');
    expect(code).toBe(0);
  });

  it.each(programs.map((block, i) => [block.place, i] as const))('show a program that runs: %s', async (_place, i) => {
    writeFileSync(join(folder, `block-${i}.ts`), programs[i]!.text);
    const preload = join(root, 'test/support/loopback.mjs');
    const args = ['--conditions=source', '--import', 'tsx', '--import', preload, `block-${i}.ts`];
    if (!programs[i]!.text.includes('.listen(')) {
      const { code, stderr } = await run(process.execPath, args, { cwd: folder });
      expect(stderr).toBe('');
      expect(code).toBe(0);
      return;
    }
    const program = new Program(process.execPath, args, { cwd: folder });
    try {
      const [, port] = await program.says(/port (\d+)/);
      const response = await fetch(`http://127.0.0.1:${port}/`);
      expect(Number(response.headers.get('x-ratelimit-remaining'))).toBeGreaterThan(0);
    } finally {
      await program.end();
    }
  });

  it('show no command that nothing runs', () => {
    for (const { place, language, text } of blocks) {
      expect(['ts', 'sh'], place).toContain(language);
      if (language !== 'sh') continue;
      for (const line of text.trim().split('\n')) {
        expect(Object.keys(commands), place).toContain(line);
        const test = commands[line]!;
        expect(existsSync(join(root, test.startsWith('.') ? test : `test/${test}`)), test).toBe(true);
      }
    }
  });

  it('link to files that exist', () => {
    for (const document of documents()) {
      const text = readFileSync(join(root, document), 'utf8');
      for (const [, target] of text.matchAll(/\]\((?!https?:|#)([^)#]+)/g)) {
        expect(existsSync(join(root, document, '..', target!)), `${document} → ${target}`).toBe(true);
      }
    }
  });
});

describe('the README', () => {
  it.each(['fixed-window', 'sliding-window-log', 'sliding-window-counter', 'token-bucket', 'leaky-bucket'] as const)(
    'tells the truth in the timeline of %s',
    (algorithm) => {
      const clock = new ManualClock(0);
      const limiter = createLimiter({ policies: '4/10s', algorithm, clock });
      const [header, ...rows] = tableAfter('README.md', `**${algorithm}** `);
      expect(header).toEqual(['time', 'requests', 'answer']);
      expect(rows.length).toBeGreaterThan(3);
      for (const [time, requests, answer] of rows) {
        clock.advance(Number.parseFloat(time!) * 1_000 - clock.now() / 1_000);
        for (let i = 0; i < Number(requests); i++) {
          const { allowed, delay, retryAfter } = limiter.consumeSync('client');
          const held = delay > 0 ? `, held for ${delay / 1_000} s` : '';
          expect(allowed ? `granted${held}` : `refused, come back after ${retryAfter / 1_000} s`).toBe(answer);
        }
      }
    },
  );

  it('lists every option of rateLimit, and no other', () => {
    const source = readFileSync(join(root, 'packages/core/src/http/options.ts'), 'utf8');
    const type = /export interface RateLimitOptions<R> \{([\s\S]*?)\n\}/.exec(source)?.[1] ?? '';
    const options = [...type.matchAll(/^ {2}(\w+)\?:/gm)].map(([, name]) => name).sort();
    expect(options.length).toBeGreaterThan(15);
    const [, ...rows] = tableAfter('README.md', '## Options');
    const listed = rows.flatMap(([cell]) => [...cell!.matchAll(/`(\w+)`/g)].map(([, name]) => name)).sort();
    expect(listed).toEqual(options);
  });
});
