import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { createLimiter, type HeaderStyle } from '@sluice/core';
import { type ExpressRateLimitOptions, rateLimit } from '@sluice/express';
import { ManualClock } from '@sluice/testing';
import express from 'express';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ruleSchema } from '../packages/server/src/configuration/rule-schema.ts';
import { flagOf, optionNames, options } from '../packages/server/src/settings/options.ts';
import { blocksOf, documents, root, tableAfter } from './support/documents.js';
import { RedisCluster } from './support/redis/cluster.js';
import { RedisSentinels } from './support/redis/sentinel.js';
import { RedisServer } from './support/redis/server.js';
import { Program, run } from './support/run.js';
import { isOfSession, Session } from './support/session.js';

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
  'npm install @sluice/redis ioredis': 'packages.test.ts',
  'npm install @sluice/server': 'packages.test.ts',
  'npm install --save-dev @sluice/testing': 'packages.test.ts',
};

// Inside this package, so that the blocks find what they import.
mkdirSync(join(root, 'test/.blocks'), { recursive: true });
const folder = mkdtempSync(join(root, 'test/.blocks/run-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** The servers that programs ask for, by the variable that tells a program where they are. */
const servers = {
  REDIS_URL: async () => {
    const server = await RedisServer.start();
    return { where: server.url, stop: () => server.stop() };
  },
  REDIS_NODES: async () => {
    const cluster = await RedisCluster.start();
    return { where: cluster.ports.map((port) => `127.0.0.1:${port}`).join(), stop: () => cluster.stop() };
  },
  SENTINELS: async () => {
    const sentinels = await RedisSentinels.start();
    const where = sentinels.sentinelPorts.map((port) => `127.0.0.1:${port}`).join();
    return { where, stop: () => sentinels.stop() };
  },
};

/** Starts what a program needs. */
async function surroundingsOf(text: string): Promise<{ env: Record<string, string>; stop(): Promise<void> }> {
  const env: Record<string, string> = {};
  const stops: (() => Promise<void>)[] = [];
  for (const [name, start] of Object.entries(servers)) {
    if (!text.includes(`process.env.${name}`)) continue;
    const { where, stop } = await start();
    env[name] = where;
    stops.push(stop);
  }
  return { env, stop: async () => void (await Promise.all(stops.map((stop) => stop()))) };
}

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
    const { env, stop } = await surroundingsOf(programs[i]!.text);
    try {
      if (!programs[i]!.text.includes('.listen(')) {
        const { code, stdout, stderr } = await run(process.execPath, args, { cwd: folder, env });
        expect(stderr).toBe('');
        expect(code).toBe(0);
        // What a program says that it prints, it prints.
        const printed = /console\.log\(.*; \/\/ (\w+)$/m.exec(programs[i]!.text)?.[1];
        if (printed !== undefined) expect(stdout.split('\n')).toContain(printed);
        return;
      }
      const program = new Program(process.execPath, args, { cwd: folder, env });
      try {
        const [, port] = await program.says(/port (\d+)/);
        const response = await fetch(`http://127.0.0.1:${port}/`);
        expect(Number(response.headers.get('x-ratelimit-remaining'))).toBeGreaterThan(0);
      } finally {
        await program.end();
      }
    } finally {
      await stop();
    }
  });

  it('show no command that nothing runs', () => {
    for (const { place, language, text } of blocks) {
      expect(['ts', 'sh', 'yaml'], place).toContain(language);
      if (language === 'yaml') expect(text, place).toMatch(/^# (?:sluice\.yaml|Traefik|Envoy|Prometheus)\n/);
      if (language !== 'sh') continue;
      for (const line of text.replaceAll('\\\n', '').trim().split('\n')) {
        if (isOfSession(line) || line.startsWith('# ')) continue;
        expect(Object.keys(commands), place).toContain(line);
        const test = commands[line]!;
        expect(existsSync(join(root, test.startsWith('.') ? test : `test/${test}`)), test).toBe(true);
      }
    }
  });

  it.each(documents().filter((document) => blocksOf(document).some(({ text }) => text.split('\n').some(isOfSession))))(
    'tell what the service answers: %s',
    async (document) => {
      const session = new Session();
      try {
        for (const block of blocksOf(document)) await session.run(block);
      } finally {
        await session.end();
      }
    },
    // Some start a service many times, a cluster and sentinels.
    180_000,
  );

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

  it.each([
    ['README.md', '## Options', 'core/src/http/options.ts', 'RateLimitOptions'],
    ['docs/rules.md', '| field of a rule', 'core/src/engine/limiting.ts', 'Rule'],
    ['docs/rules.md', '| field of `penalty`', 'core/src/penalty.ts', 'PenaltyOptions'],
    ['docs/identity.md', '| field of `identity`', 'core/src/identity/options.ts', 'IdentityOptions'],
    ['docs/responses.md', '| field of `response`', 'core/src/http/response.ts', 'ResponseOptions'],
    ['docs/redis.md', '| option |', 'redis/src/redis-store-options.ts', 'FallbackOptions'],
  ])('and the other documents list every option: %s, %s', (document, before, file, type) => {
    const options = fieldsOf(file, type);
    expect(options.length).toBeGreaterThan(5);
    const [, ...rows] = tableAfter(document, before);
    const listed = rows.flatMap(([cell]) => [...cell!.matchAll(/`(\w+)`/g)].map(([, name]) => name!));
    expect(listed.sort()).toEqual(options.sort());
  });
});

describe('the documents of the service', () => {
  it('list every setting as help does', () => {
    const [, ...rows] = tableAfter('packages/server/README.md', '| setting |');
    const expected = optionNames.map((name) => {
      const option = options[name];
      return [`\`${flagOf(name)}\``, option.help, 'default' in option ? `\`${option.default}\`` : ''];
    });
    expect(rows.filter(([, meaning]) => meaning !== '')).toEqual(expected);
  });

  it('list every field of a rule', () => {
    const [, ...rows] = tableAfter('docs/service.md', '| field of a rule');
    const listed = rows.flatMap(([cell]) => [...cell!.matchAll(/`(\w+)`/g)].map(([, name]) => name!));
    expect(listed.sort()).toEqual(Object.keys(ruleSchema.properties).sort());
  });

  describe('beside a service', () => {
    let session: Session;
    beforeAll(async () => {
      session = new Session();
      await session.run({ place: 'here', language: 'sh', text: 'sluice serve\n' });
    });
    afterAll(() => session.end());

    it('list every endpoint', async () => {
      const document = (await (await fetch(`${session.url}/openapi.json`)).json()) as { paths: Record<string, object> };
      const there = Object.entries(document.paths).flatMap(([path, methods]) =>
        Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
      );
      const [, ...rows] = tableAfter('packages/server/README.md', '| endpoint |');
      const listed = rows.flatMap(([cell]) => {
        const [, methods = '', path] = /^`([A-Z, ]+) (\S+)`$/.exec(cell!) ?? [];
        return methods.split(', ').map((method) => `${method} ${path}`);
      });
      expect(listed.sort()).toEqual(there.sort());
    });

    it('list every metric', async () => {
      const text = await (await fetch(`${session.url}/metrics`)).text();
      const own = [...text.matchAll(/^# TYPE (sluice_\w+) (\w+)$/gm)].map(([, name, type]) => [`\`${name}\``, type]);
      const [, ...rows] = tableAfter('docs/service.md', '| metric |');
      expect(rows.map(([name, type]) => [name!.replace(/\{.*\}/, ''), type]).sort()).toEqual(own.sort());
      const alerts = blocks.find(({ text }) => text.startsWith('# Prometheus'))!.text;
      const named = [...alerts.matchAll(/sluice_\w+/g)].map(
        ([name]) => `\`${name.replace(/_(?:bucket|count|sum)$/, '')}\``,
      );
      expect(named.length).toBeGreaterThan(3);
      for (const name of named) expect(own.map(([known]) => known)).toContain(name);
    });
  });
});

describe('docs/responses.md', () => {
  const [, ...rows] = tableAfter('docs/responses.md', '| style |');
  const texts = rows.map((cells) => cells.map((cell) => cell.replaceAll('`', '')));

  it.each([...new Set(texts.map(([style]) => style!))])('tells the truth about the fields of %s', async (style) => {
    const limited = await respond({ headers: style as HeaderStyle }, 3);
    const names = texts.filter(([own]) => own === style);
    for (const [, field, first, third] of names) {
      expect([field, ...limited.map(({ headers }) => headers.get(field!))]).toEqual([field, first, third]);
    }
    for (const { headers } of limited) {
      const sent = [...headers.keys()].filter((name) => name.includes('ratelimit'));
      expect(sent.sort()).toEqual(names.map(([, field]) => field!.toLowerCase()).sort());
    }
    expect(limited[1]!.headers.get('retry-after')).toBe('10');
    expect(limited[1]!.headers.get('cache-control')).toBe('no-store');
  });

  it('tells the truth about bodies', async () => {
    const down = () => Promise.reject(new Error('down'));
    const store = { consume: down, peek: down, release: down, reset: down };
    const [, ...kinds] = tableAfter('docs/responses.md', '| why |');
    const options: readonly ExpressRateLimitOptions[] = [
      {},
      { penalty: { banAfter: 1 } },
      { store, onStoreError: 'deny', logger: { warn: () => {} } },
      { lists: { block: ['127.0.0.1'] } },
    ];
    expect(kinds).toHaveLength(options.length);
    for (const [i, [, status, type, title]] of kinds.entries()) {
      const response = (await respond(options[i]!, 3))[1]!;
      expect(response.headers.get('content-type')).toBe('application/problem+json');
      const expected = { status: Number(status), type: type!.replaceAll('`', ''), title };
      expect(JSON.parse(response.body)).toMatchObject(expected);
      expect(response.status).toBe(expected.status);
    }
  });
});

/** The first response and the last one of so many to the limits that docs/responses.md speaks of. */
async function respond(options: ExpressRateLimitOptions, times: number) {
  const limits = ['2/10s', '100/1h'] as const;
  const app = express();
  app.use(rateLimit({ limits, algorithm: 'fixed-window', clock: new ManualClock(), ...options }));
  const server = app.listen(0, '127.0.0.1');
  try {
    await once(server, 'listening');
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    const responses: { status: number; headers: Headers; body: string }[] = [];
    for (let i = 0; i < times; i++) {
      const response = await fetch(url);
      responses.push({ status: response.status, headers: response.headers, body: await response.text() });
    }
    return [responses[0]!, responses.at(-1)!];
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

/** The optional and the required fields of an interface of core, with those of what it extends in the same folder. */
function fieldsOf(file: string, type: string): string[] {
  const files = [file, 'core/src/engine/limiting.ts'];
  const source = files.map((name) => readFileSync(join(root, 'packages', name), 'utf8')).join('\n');
  const [, head = '', body = ''] =
    new RegExp(`export interface ${type}\\b([^{]*)\\{([\\s\\S]*?)\\n\\}`).exec(source) ?? [];
  const base = /extends (\w+)/.exec(head)?.[1];
  const own = [...body.matchAll(/^ {2}(\w+)\??:/gm)].map(([, name]) => name!);
  return base === undefined ? own : [...own, ...fieldsOf(file, base)];
}
