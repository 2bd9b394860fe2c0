import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, it } from 'vitest';

/** Runs the benchmark from the sources of the packages, as the tests do. */
function bench(...args: string[]): Promise<{ code: number | null; out: string; complaint: string }> {
  return new Promise((resolve, reject) => {
    const flags = ['--expose-gc', '--conditions=source', '--import', 'tsx'];
    const child = spawn(process.execPath, [...flags, 'bench/main.ts', ...args], {
      cwd: fileURLToPath(new URL('.', import.meta.url)),
    });
    let out = '';
    let complaint = '';
    child.stdout.on('data', (chunk) => {
      out += chunk;
    });
    child.stderr.on('data', (chunk) => {
      complaint += chunk;
    });
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, out, complaint }));
  });
}

const algorithms = [
  'sluice fixed-window',
  'sluice sliding-window-log',
  'sluice sliding-window-counter',
  'sluice token-bucket',
  'sluice leaky-bucket',
];
const floors = ['floor Map and typed array, fixed-window', 'floor Map and typed array, token-bucket'];
const stores = [
  'express-rate-limit MemoryStore',
  'rate-limiter-flexible RateLimiterMemory',
  '@fastify/rate-limit LocalStore',
  'koa-ratelimit memory',
];

const redisStores = ['rate-limiter-flexible RateLimiterRedis', 'rate-limit-redis RedisStore', 'koa-ratelimit redis'];

const rows: Readonly<Record<string, readonly string[]>> = {
  decisions: [...algorithms, 'sluice sliding-window-counter, awaited', ...floors, ...stores],
  memory: [...algorithms, ...stores],
  pauses: ['(an idle process)', ...algorithms.slice(0, 3), ...stores],
  rules: [
    'a Map of paths',
    'static path',
    'path with a parameter',
    'path below a wildcard',
    'path that no rule matches',
    'path in a hostile spelling',
  ],
  http: [
    ['express', 'express-rate-limit'],
    ['koa', 'koa-ratelimit'],
    ['fastify', '@fastify/rate-limit'],
  ].flatMap(([framework, peer]) => [
    `${framework}, bare`,
    `${framework}, three headers by hand`,
    `${framework}, @sluice/${framework}`,
    `${framework}, @sluice/${framework} with rules, tiers, lists and penalties`,
    `${framework}, ${peer}`,
  ]),
  redis: ['1 at a time', '32 at a time', '256 at a time', '32 at a time, one key'].flatMap((load) =>
    ['INCR', ...algorithms, ...redisStores].map((name) => `${name}, ${load}`),
  ),
  deny: [
    'a Map of blocked keys, refused',
    ...['refused', 'granted'].flatMap((kind) =>
      [
        'sluice with a deny cache',
        'sluice',
        'rate-limiter-flexible with inMemoryBlockOnConsumed',
        'rate-limiter-flexible',
      ].map((name) => `${name}, ${kind}`),
    ),
  ],
  service: ['1 at a time', '4 at a time'].flatMap((load) => [
    ...['POST /ratelimit/check', 'GET /check', 'GET /ratelimit/auth'].flatMap((endpoint) =>
      ['empty route', 'embedded', 'Redis'].map((kind) => `${endpoint}, ${load}, ${kind}`),
    ),
    ...(load === '1 at a time' ? ['embedded', 'Redis'] : []).map(
      (kind) => `POST /ratelimit/check/batch, ${load}, ${kind}`,
    ),
  ]),
  fleet: [
    '8 hot keys, coalescing, 2 processes',
    '8 hot keys, leases, 1 process',
    '8 hot keys, leases, 2 processes',
    '8 hot keys, beyond their limits, coalescing, 2 processes',
    '8 hot keys, beyond their limits, leases, 2 processes',
    '100 users, coalescing, 2 processes',
    '1,000 attackers, coalescing, 2 processes',
    '1,000 attackers, deny cache, 2 processes',
  ],
};

describe.concurrent('the benchmark', () => {
  it.for(Object.keys(rows))('measures every contender in its part %s', async (part, { expect }) => {
    const { code, out, complaint } = await bench(part, '--smoke', '--json');
    expect(complaint).toBe('');
    const { tables, ...machine } = JSON.parse(out);
    expect(machine).toEqual({
      date: expect.stringMatching(/^\d{4}-\d{2}-\d{2}$/),
      node: process.version,
      machine: expect.any(String),
      peers: {
        'express-rate-limit': expect.stringMatching(/^\d/),
        'rate-limiter-flexible': expect.stringMatching(/^\d/),
        '@fastify/rate-limit': expect.stringMatching(/^\d/),
        'koa-ratelimit': expect.stringMatching(/^\d/),
        'rate-limit-redis': expect.stringMatching(/^\d/),
      },
    });
    expect(tables).toHaveLength(1);
    expect(tables[0].failures).toEqual([]);
    expect(tables[0].rows.map(([name]: [string]) => name)).toEqual(rows[part]);
    for (const [, first] of tables[0].rows) expect(first).toEqual(expect.any(Number));
    expect(code).toBe(0);
  });

  it('answers an unknown part with the list of parts', async ({ expect }) => {
    const { code, out, complaint } = await bench('--', 'speed');
    expect(complaint).toContain("There is no part called 'speed'.");
    for (const part of Object.keys(rows)) expect(complaint).toMatch(new RegExp(`^ {2}${part} `, 'm'));
    expect(out).toBe('');
    expect(code).toBe(2);
  });
});
