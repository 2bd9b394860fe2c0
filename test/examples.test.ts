import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type IncomingHttpHeaders, request } from 'node:http';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { answers } from './support/redis/port.js';
import { RedisServer } from './support/redis/server.js';
import { until } from './support/redis/until.js';
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

/** Starts an example and runs the curl lines that it prints; returns what each line saw. */
async function answersOf(example: string, env: Record<string, string> = {}): Promise<string[]> {
  const cwd = fileURLToPath(new URL(example, folder));
  program = new Program(node[0], [...node[1], 'server.ts'], { cwd, env: { PORT: '0', ...env } });
  return answersTo(program);
}

/** Runs the curl lines that an example prints. */
async function answersTo(program: Program): Promise<string[]> {
  await program.says(/Listening on http.*\n(?:.*\n)*? {2}curl .*\n(?: {2}curl .*\n)*/);
  const lines = program.output.match(/^ {2}curl .*$/gm) ?? [];
  const answers: string[] = [];
  for (const line of lines) answers.push(await succeed('sh', ['-c', line.trim().replace(/^curl/, `'${curl}'`)]));
  return answers;
}

/** Starts an example and runs the curl lines that it prints; returns the status codes that each line saw. */
async function statusesOf(example: string): Promise<number[][]> {
  return (await answersOf(example)).map(statusesIn);
}

function statusesIn(answer: string): number[] {
  return [...answer.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map((match) => Number(match[1]));
}

const portOf = (address: string) => Number(address.slice(address.indexOf(':') + 1));
const from = (address: string) => ({ 'x-forwarded-for': address });
const as = (customer: string) => ({ 'x-api-key': `key-of-${customer}`, ...from('198.51.100.9') });

/** What is asked of the gateway, how often and by whom, and the last answer to it: status, limit and units left. */
const gatewaySteps: readonly [times: number, request: string, headers: Record<string, string>, expected: RegExp][] = [
  [1, 'POST /login', from('198.51.100.1'), /^200 5 4 /],
  [3, 'POST /login?again', from('198.51.100.1'), /^200 5 1 /],
  [1, 'POST /login', { ...from('198.51.100.1'), 'x-api-key': 'made-up' }, /^200 5 0 /],
  [1, 'POST /login', from('198.51.100.1'), /^429 5 0 retry application\/problem\+json .*quota-exceeded POST-login/],
  [1, 'POST /login', { ...as('eve'), ...from('198.51.100.1') }, /^429 5 0 retry /],
  [1, 'POST /login', { 'x-forwarded-for': '198.51.100.2, 198.51.100.1' }, /^429 /],
  [1, 'POST /login', from('198.51.100.2'), /^200 5 4 /],
  [1, 'GET /search', from('198.51.100.1'), /^200 100 99 .*"GET-search";q=100;w=60/],
  [99, 'GET /search', from('198.51.100.1'), /^200 100 0 /],
  [1, 'GET /search', from('198.51.100.1'), /^429 100 0 retry .* GET-search/],
  [1, 'HEAD /search', from('198.51.100.1'), /^429 100 0 retry /],
  [10, 'POST /upload', from('198.51.100.1'), /^201 10 0 /],
  [1, 'POST /upload', from('198.51.100.1'), /^429 10 0 retry .* POST-upload/],
  [1, 'POST /upload', as('bill'), /^201 10 9 /],
  [11, 'POST /upload', as('eve'), /^201 500 489 /],
  [1, 'GET /nowhere', from('198.51.100.2'), /^404 100 99 .*"free";q=100;w=3600/],
  [1, 'GET /nowhere', { ...from('198.51.100.2'), 'x-api-key': 'made-up' }, /^404 100 98 /],
  // Tighter than the limits of the paying tiers is the one before authentication.
  [1, 'GET /nowhere', as('bill'), /^404 \d+ \d+ .*"basic";q=1000;w=3600/],
  [1, 'GET /nowhere', as('pat'), /^404 \d+ \d+ .*"premium";q=10000;w=3600/],
  [1, 'GET /nowhere', as('eve'), /^404 \d+ \d+ .*"enterprise";q=100000;w=3600/],
  [1, 'GET /reports/2026', from('198.51.100.3'), /^200 100 99 /],
  [2, 'GET /reports/2026', from('198.51.100.3'), /^200 100 97 /],
  [120, 'GET /health', from('198.51.100.4'), /^200 600 480 /],
  [120, 'GET /search', from('192.0.2.5'), /^200 - - - application\/json - -/],
  [1, 'GET /health', from('203.0.113.9'), /^403 - - - application\/problem\+json - about:blank/],
  [1, 'GET /search', { ...as('eve'), ...from('203.0.113.9') }, /^403 /],
  [1, 'GET /search', from('2001:db8:bad:7::1'), /^403 /],
  [1, 'GET /search', from('2001:db8:1::1'), /^200 100 99 /],
  [1, 'GET /search', from('2001:db8:1::2'), /^200 100 98 /],
];

/** Starts the server's clock within a minute and an hour, so that no window ends while it is asked. */
const midMinute = `Object.defineProperty(performance, 'timeOrigin', { value: ${Date.UTC(2026, 0, 1, 12, 30, 5)} })`;

/** Asks the gateway, and tells of the answer what must not depend on the framework, nor on the time. */
async function ask(url: string, request: string, headers: Record<string, string>): Promise<string> {
  const [method, path] = request.split(' ') as [string, string];
  const response = await fetch(url + path, { method, headers });
  const field = (name: string) => response.headers.get(name) ?? '-';
  const body = await response.text();
  const isProblem = field('content-type').includes('problem');
  const { type, 'violated-policies': violated = [] } = isProblem && body !== '' ? JSON.parse(body) : { type: '-' };
  const legacy = `${field('x-ratelimit-limit')} ${field('x-ratelimit-remaining')}`;
  const retry = response.headers.has('retry-after') ? 'retry' : '-';
  // What frameworks say of an answer without a rate limit's hand in it is theirs.
  const contentType = response.ok || isProblem ? field('content-type').replace(/;.*/, '') : '';
  const media = path === '/upload' && response.ok ? '' : contentType;
  return `${response.status} ${legacy} ${retry} ${media} ${field('ratelimit-policy')} ${type} ${violated}`;
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

  it('api-gateway is at most 60 lines, and its configuration is the same for every framework', () => {
    const limits = readFileSync(new URL('api-gateway/limits.ts', folder), 'utf8');
    expect(limits.split('\n').length).toBeLessThanOrEqual(60);
    for (const framework of ['express', 'koa', 'fastify']) {
      const server = readFileSync(new URL(`api-gateway/${framework}.ts`, folder), 'utf8');
      expect(server).toContain("import { limits } from './limits.js';");
      expect(server.split('\n').length).toBeLessThanOrEqual(framework === 'koa' ? 36 : 26);
    }
  });

  it('api-gateway answers alike in Express, Koa and Fastify', async () => {
    const all: string[][] = [];
    for (const framework of ['express', 'koa', 'fastify']) {
      const cwd = fileURLToPath(new URL('api-gateway', folder));
      const early = `data:text/javascript,${encodeURIComponent(midMinute)}`;
      program = new Program(node[0], ['--import', early, ...node[1], `${framework}.ts`], { cwd, env: { PORT: '0' } });
      const [, url] = await program.says(/Listening on (http:\S+)\/\n/);
      const answers: string[] = [];
      for (const [times, request, headers, expected] of gatewaySteps) {
        let answer = '';
        for (let i = 0; i < times; i++) answer = await ask(url!, request, headers);
        expect(answer, `${framework}: ${request} as ${JSON.stringify(headers)}`).toMatch(expected);
        answers.push(answer);
      }
      await program.says(/refused ip:198\.51\.100\.1: policy 'POST-login' of rule 'POST \/login'/);
      await program.says(/would have refused ip:198\.51\.100\.3: policy 'reports'.*\(shadow\)/);
      await program.end();
      all.push(answers);
    }
    expect(all[1]).toEqual(all[0]);
    expect(all[2]).toEqual(all[0]);
  });

  it('fleet grants a limit once, whichever of its processes are asked', async () => {
    await using server = await RedisServer.start();
    const [answer = ''] = await answersOf('fleet', { REDIS_URL: server.url });
    expect(statusesIn(answer)).toEqual([200, 200, 200, 200, 200, 429, 429]);
    expect([...answer.matchAll(/"remaining":(\d)/g)].map((match) => match[1])).toEqual(['4', '3', '2', '1', '0']);
    expect(new Set(answer.match(/"process":\d+/g)).size).toBeGreaterThan(1);
  });

  it('fleet says what to do where there is no Redis', async () => {
    const cwd = fileURLToPath(new URL('fleet', folder));
    // Nobody listens on port 1.
    const env = { REDIS_URL: 'redis://:secret@127.0.0.1:1' };
    const { code, stderr } = await run(node[0], [...node[1], 'server.ts'], { cwd, env });
    expect(code).toBe(1);
    expect(stderr).toMatch(/^No Redis at .*127\.0\.0\.1:1 .*ECONNREFUSED.*redis-server --save/s);
    expect(stderr).not.toContain('secret');
  });

  it('redis-cluster starts a cluster, on which apps limit users and tenants together', async () => {
    await systemCommand('redis-server', { brew: 'redis' });
    await systemCommand('redis-cli', { apt: 'redis-tools', brew: 'redis' });
    const [ann = '', bob = ''] = await answersOf('redis-cluster');
    expect(statusesIn(ann)).toEqual([200, 200, 200, 429]);
    expect(ann).toContain('"violated-policies":["tenant-user"]');
    // Two are left of the tenant's five: Ann's refusal has cost nothing.
    expect(statusesIn(bob)).toEqual([200, 200, 429, 429]);
    expect(bob).toContain('"violated-policies":["tenant"]');
    expect(new Set((ann + bob).match(/"source":"[^"]*"/g))).toEqual(new Set(['"source":"store"']));

    const [, nodes] = await program!.says(/cluster at (\S+)\n/);
    const cwd = fileURLToPath(new URL('redis-cluster', folder));
    const other = new Program(node[0], [...node[1], 'server.ts'], { cwd, env: { PORT: '0', REDIS_NODES: nodes! } });
    try {
      expect((await answersTo(other)).map(statusesIn)).toEqual([
        [429, 429, 429, 429],
        [429, 429, 429, 429],
      ]);
    } finally {
      await other.end();
    }

    await program!.end();
    await Promise.all(
      nodes!.split(',').map((address) => until(`${address} is gone`, async () => !(await answers(portOf(address))))),
    );
  });

  it('redis-cluster says what to do where Redis is not installed', async () => {
    const cwd = fileURLToPath(new URL('redis-cluster', folder));
    const { code, stderr } = await run(node[0], [...node[1], 'server.ts'], { cwd, env: { PATH: cwd } });
    expect(code).toBe(1);
    expect(stderr).toMatch(/needs redis-server and redis-cli .*ENOENT.*apt-get install redis-server.*REDIS_NODES=/s);
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

describe('the example with nginx', () => {
  const configuration = readFileSync(new URL('nginx/nginx.conf', folder), 'utf8');
  const asOpen = (conf: string) =>
    conf.replace(/# (proxy_intercept_errors on;|error_page 500 502 503 504 = .*;)/g, '$1');
  beforeAll(async () => void (await systemCommand('nginx')));

  /** Starts it, with that configuration of nginx, and returns where nginx listens, and what runs the curl lines that it prints. */
  async function start(conf = configuration): Promise<{ url: string; curled: () => Promise<string[]> }> {
    const cwd = fileURLToPath(new URL('nginx', folder));
    const own = mkdtempSync(join(tmpdir(), 'sluice-nginx-test-'));
    const file = join(own, 'nginx.conf');
    writeFileSync(file, conf);
    try {
      program = new Program(node[0], [...node[1], 'server.ts', file], { cwd });
      const [, url] = await program.says(/Listening on (http:\S+)\n/);
      return { url: url!, curled: () => answersTo(program!) };
    } finally {
      rmSync(own, { recursive: true });
    }
  }

  it('limits logins to three, and says so with the fields of the service', async () => {
    const { url, curled } = await start();
    const [logins = '', blocked = ''] = await curled();
    expect(statusesIn(logins)).toEqual([200, 200, 200, 429]);
    expect(logins.match(/The app answers POST \/login/g)).toHaveLength(3);
    expect([...logins.matchAll(/^X-RateLimit-Remaining: (\d)\r$/gm)].map(([, left]) => left)).toEqual([
      '2',
      '1',
      '0',
      '0',
    ]);
    const refusal = logins.slice(logins.lastIndexOf('HTTP/1.1'));
    expect(Number(/^Retry-After: (\d+)\r$/m.exec(refusal)?.[1])).toBeGreaterThan(1_100);
    expect(refusal).toMatch(/^X-RateLimit-Limit: 3\r$/m);
    expect(refusal).toMatch(/^X-RateLimit-Reset: \d{10}\r$/m);
    expect(refusal).toMatch(/^Cache-Control: no-store\r$/m);
    expect(refusal).toMatch(/^Content-Type: application\/problem\+json\r$/m);
    expect(refusal).toMatch(/"title":"Too many requests[^"]*","status":429\}$/);
    expect(statusesIn(blocked)).toEqual([403]);
    expect(blocked).not.toMatch(/ratelimit|The app/i);

    await program!.end();
    await expect(fetch(url), 'nginx ends with its example').rejects.toThrow('fetch failed');
  });

  it('is not deceived by spellings, nor by what clients say of themselves', async () => {
    const { url } = await start();
    const lies = (i: number) => ({
      'x-forwarded-for': `198.51.100.${i}`,
      'x-real-ip': `198.51.100.${i}`,
      forwarded: `for=198.51.100.${i}`,
      'x-original-uri': '/free',
      'x-original-url': '/free',
      'x-forwarded-uri': '/free',
      'x-original-method': 'GET',
      'x-forwarded-method': 'GET',
      'x-api-key': `made-up-${i}`,
      authorization: 'Basic bWU6bWU=',
    });
    for (let i = 0; i < 3; i++) {
      const { status, headers } = await send(url, { method: 'POST', path: '/login', headers: lies(i) });
      expect([status, headers['x-ratelimit-remaining']]).toEqual([200, `${2 - i}`]);
    }
    const spellings = [
      '/login',
      '/LOGIN',
      '//login',
      '/login/',
      '/login?x',
      '/%6cogin',
      '/x/../login',
      '/x/%2e%2e/login',
    ];
    for (const [i, path] of [...spellings, '/login;x', '/login%2f', 'http://elsewhere/login'].entries()) {
      expect((await send(url, { method: 'POST', path, headers: lies(i) })).status, path).toBe(429);
    }
    expect((await send(url, { method: 'POST', path: '/login', from: '127.0.0.2' })).status).toBe(200);
    expect((await send(url, { path: '/login' })).status, 'a rule for POST is none for GET').toBe(200);

    const blocked = { from: '127.0.0.66', headers: { 'x-forwarded-for': '127.0.0.1' } };
    expect((await send(url, blocked)).status).toBe(403);
    expect((await send(url, { headers: { 'x-forwarded-for': '127.0.0.66' } })).status).toBe(200);
    const body = 'x'.repeat(200_000);
    expect(await send(url, { method: 'PUT', path: '/files?a=%2F', body })).toMatchObject({
      status: 200,
      body: 'The app answers PUT /files?a=%2F\n',
    });
    // Only nginx itself may ask.
    expect(await send(url, { path: '/_ratelimit' })).toMatchObject({ status: 404 });
  });

  it('answers 503 while the service does not, or lets everything pass, as its configuration says', async () => {
    const silent = createServer(() => {}).listen(0, '127.0.0.1');
    await once(silent, 'listening');
    try {
      // Nobody listens on port 1.
      for (const port of [1, (silent.address() as AddressInfo).port]) {
        const conf = configuration.replace('127.0.0.1:8080', `127.0.0.1:${port}`);
        const closed = await send((await start(conf)).url, {});
        expect(closed).toMatchObject({ status: 503, headers: { 'retry-after': '1', 'cache-control': 'no-store' } });
        expect(closed.body).toMatch(/^\{.*"status":503\}$/);
        await program!.end();

        expect(asOpen(conf)).not.toBe(conf);
        const open = await send((await start(asOpen(conf))).url, {});
        expect(open).toMatchObject({ status: 200, body: 'The app answers GET /\n' });
        expect(Object.keys(open.headers).filter((name) => name.startsWith('x-ratelimit'))).toEqual([]);
        await program!.end();
      }
    } finally {
      silent.close();
    }
  });

  it('refuses as well when it fails open', async () => {
    const { url } = await start(asOpen(configuration));
    const statuses: (number | undefined)[] = [];
    for (let i = 0; i < 4; i++) statuses.push((await send(url, { method: 'POST', path: '/login' })).status);
    expect(statuses).toEqual([200, 200, 200, 429]);
    expect((await send(url, { from: '127.0.0.66' })).status).toBe(403);
  });
});

interface Sent {
  readonly method?: string;
  /** Sent as it is. */
  readonly path?: string;
  readonly headers?: Record<string, string>;
  /** The address of the loopback from which it comes. */
  readonly from?: string;
  readonly body?: string;
}

async function send(
  url: string,
  { method = 'GET', path = '/', headers = {}, from = '127.0.0.1', body = '' }: Sent,
): Promise<{ status: number | undefined; headers: IncomingHttpHeaders; body: string }> {
  const asked = request(url, { method, path, headers, localAddress: from, agent: false }).end(body);
  const [response] = await once(asked, 'response');
  return { status: response.statusCode, headers: response.headers, body: await text(response) };
}
