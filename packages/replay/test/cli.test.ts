import { type SpawnOptions, spawn } from 'node:child_process';
import { existsSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { beforeAll, describe, expect, it } from 'vitest';
import { grouped } from './grouped.ts';
import { temporaryFile, temporaryFolder } from './temporary-file.ts';

const cli = join(import.meta.dirname, '../dist/cli.js');
const excerptPath = join(import.meta.dirname, 'fixtures/excerpt.clf');
const oddPath = join(import.meta.dirname, 'fixtures/odd.clf');
const excerpt = readFileSync(excerptPath);

interface Result {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** Runs the command as its users do, with that input. */
function run(args: string[], input: Buffer | string = '', stdio: SpawnOptions['stdio'] = 'pipe'): Promise<Result> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [cli, ...args], { stdio });
    let [stdout, stderr] = ['', ''];
    child.stdout?.setEncoding('utf8').on('data', (text) => {
      stdout += text;
    });
    child.stderr?.setEncoding('utf8').on('data', (text) => {
      stderr += text;
    });
    // A command that ends early does not read what is left.
    child.stdin?.on('error', () => {}).end(input);
    child.on('error', reject).on('close', (code) => resolve({ code, stdout, stderr }));
  });
}

/** Requests beyond `limit` of one client in one minute, straight from the text of the log. */
function recount(limit: number): Map<string, number> {
  const refused = new Map<string, number>();
  for (const [, requests] of grouped(excerpt.toString().trim().split('\n'), (line) =>
    line.replace(/^(\S+) .*?\[(.*?:\d\d:\d\d):\d\d .*$/, '$1 $2'),
  )) {
    const client = `ip:${requests[0]!.split(' ')[0]}`;
    if (requests.length > limit) refused.set(client, (refused.get(client) ?? 0) + requests.length - limit);
  }
  return refused;
}

function sum(counts: Map<string, number>): number {
  return [...counts.values()].reduce((a, b) => a + b, 0);
}

beforeAll(() => {
  if (!existsSync(cli)) throw new Error('packages/replay/dist/cli.js is missing; build first: pnpm build');
});

describe('sluice-replay', () => {
  it('prints how many requests a policy would have refused, of whom and when', async () => {
    const { code, stdout, stderr } = await run([excerptPath, '--policy', '2/1m', '--algorithm', 'fixed-window']);
    const refused = recount(2);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toContain('excerpt.clf: 120 requests');
    expect(stdout).toContain(`2/1m fixed-window refuses ${sum(refused)} of 120 requests`);
    expect(stdout).toContain(`of ${refused.size} clients`);
    for (const [client, count] of refused) expect(stdout).toMatch(new RegExp(`^ {2}${client} +${count} `, 'm'));
    expect(stdout).toMatch(/^ {2}worst minute: 2015-05-18 01:05, \d+ refused$/m);
    expect(stdout).toMatch(/^ {2}2015-05-18 01:\d\d +\d+ +\d+ {2}█+$/m);
  });

  it('compares several policies, and several algorithms, each judged by itself', async () => {
    const args = ['--policy', '10/1m', '--policy', '2/1m', '--algorithm', 'fixed-window'];
    const { stdout } = await run([excerptPath, ...args, '--algorithm', 'sliding-window-log']);
    for (const limit of [10, 2]) {
      expect(stdout).toMatch(new RegExp(`^${limit}/1m fixed-window +${sum(recount(limit))} `, 'm'));
      expect(stdout).toMatch(new RegExp(`^${limit}/1m sliding-window-log +\\d+ `, 'm'));
    }
  });

  it('prints JSON with the same figures', async () => {
    const { code, stdout } = await run([excerptPath, '-p', '2/1m', '-a', 'fixed-window', '--top', '3', '--json']);
    const refused = recount(2);
    const { log, trials } = JSON.parse(stdout);
    expect(code).toBe(0);
    expect(log).toMatchObject({ name: 'excerpt.clf', requests: 120, malformed: { count: 0, first: [] } });
    expect(trials).toHaveLength(1);
    expect(trials[0].policies).toEqual([{ policy: '2/1m', algorithm: 'fixed-window', refused: sum(refused) }]);
    expect(trials[0]).toMatchObject({ refused: sum(refused), refusedClients: refused.size });
    expect(trials[0].clients.map(({ refused }: { refused: number }) => refused)).toEqual(
      [...refused.values()].toSorted((a, b) => b - a).slice(0, 3),
    );
    const timeline: { requests: number; refused: number }[] = trials[0].timeline;
    expect(timeline.reduce((total, { requests }) => total + requests, 0)).toBe(120);
    expect(timeline.reduce((total, { refused }) => total + refused, 0)).toBe(sum(refused));
  });

  it('judges policies as one limiter with --together, and says which refused', async () => {
    const { stdout } = await run([excerptPath, '-p', '2/1m', '-p', '500/1m', '-a', 'fixed-window', '--together']);
    expect(stdout).toContain(
      `2/1m fixed-window + 500/1m fixed-window together refuse ${sum(recount(2))} of 120 requests`,
    );
    expect(stdout).toContain(`  refused by 2/1m: ${sum(recount(2))}\n  refused by 500/1m: 0\n`);
  });

  it.each([
    ['a pipe', []],
    ['a pipe by the name of -', ['-']],
  ])('reads %s, zipped or not', async (_, file) => {
    const [plain, zipped] = await Promise.all([
      run([...file, '-p', '2/1m'], excerpt),
      run([...file, '-p', '2/1m'], gzipSync(excerpt)),
    ]);
    expect(plain.stdout).toContain('standard input: 120 requests');
    expect(zipped).toEqual(plain);
  });

  it('grants what the middleware grants where no policy is given', async () => {
    const { stdout } = await run([excerptPath]);
    expect(stdout).toContain('1000/1h sliding-window-counter refuses 0 of 120 requests');
  });

  it('reports malformed lines and plays the rest, and lets no line drive the terminal', async () => {
    const text = await run([oddPath, '-p', '1/1m']);
    expect(text.code).toBe(0);
    expect(text.stdout).toContain('8 requests from 5 clients');
    expect(text.stdout).toContain('3 lines:\n  line 10: ');
    expect(text.stdout).toContain('  line 12: \\x1b[2J\\x1b[31mred\\x9b0m\\u{202e}txet');
    expect(text.stdout).not.toMatch(/[^\P{C}\n]/u);

    const json = await run([oddPath, '-p', '1/1m', '--json']);
    expect(json.stdout).not.toMatch(/[^\P{C}\n]/u);
    expect(JSON.parse(json.stdout).log.malformed.first[2]).toEqual({
      line: 12,
      text: '\x1b[2J\x1b[31mred\x9b0m\u202etxet',
    });
  });

  it("shows times as the log's own clock showed them", async () => {
    const line = '203.0.113.7 - - [01/Mar/2024:00:30:00 +0200] "GET / HTTP/1.1" 200 5\n';
    const [text, json] = await Promise.all([run(['-p', '1/1h'], line + line), run(['-p', '1/1h', '--json'], line)]);
    expect(text.stdout).toContain('2024-03-01 00:30:00 to 2024-03-01 00:30:00 +0200');
    expect(text.stdout).toContain('worst minute: 2024-03-01 00:30, 1 refused');
    expect(JSON.parse(json.stdout).log.first).toBe('2024-02-29T22:30:00.000Z');
  });

  it.each([
    ['a missing file', join(temporaryFolder, 'none.log'), /^sluice-replay: There is no file .*none\.log\.\n$/],
    ['a directory', temporaryFolder, /^sluice-replay: .* is a directory\. Name one log file in it\.\n$/],
    ['an empty log', temporaryFile(''), /^sluice-replay: .* is empty\.\n$/],
    ['a log without a log line', temporaryFile('a\nb\n'), /^sluice-replay: .* holds no line in Common .* line 1: a\n$/],
    [
      'gzip cut short',
      temporaryFile(gzipSync(excerpt).subarray(0, 3_000)),
      /^sluice-replay: .*ends too early: at least \d+ req.*\n$/,
    ],
  ])('says in one line what is wrong with %s, and exits with 1', async (_, file, message) => {
    const { code, stdout, stderr } = await run([file, '-p', '60/1m']);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(message);
  });

  it('says that standard input is empty, or a directory, and exits with 1', async () => {
    expect(await run([])).toEqual({ code: 1, stdout: '', stderr: 'sluice-replay: standard input is empty.\n' });
    const folder = await run([], '', [openSync(temporaryFolder, 'r'), 'pipe', 'pipe']);
    expect(folder).toMatchObject({ code: 1, stderr: expect.stringContaining('standard input is a directory') });
  });

  it.each([
    ['a policy in no known form', ['-p', 'sixty'], "reads '100/1m'"],
    ['a window of nothing', ['-p', '60/0s'], "'window' must be"],
    ['an unknown algorithm', ['-a', 'gcra'], 'unknown algorithm "gcra". Choose one of'],
    ['a burst where there is none', ['-p', '5/1m burst 9', '-a', 'fixed-window'], "'burst' applies to"],
    ['an unknown option', ['--polisy', '60/1m'], 'Did you mean --policy?'],
    ['an option without its value', ['--policy'], 'argument missing'],
    ['an unknown identity', ['--by', 'agent'], 'Allowed choices are ip, user'],
    ['a top that is no number', ['--top', 'ten'], 'It must be an integer ≥ 0'],
    ['a second file', [excerptPath], 'too many arguments'],
  ])('says what is wrong with %s, and exits with 2', async (_, args, message) => {
    const { code, stdout, stderr } = await run([excerptPath, ...args]);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain(message);
    expect(stderr).not.toMatch(/^ +at /m);
  });

  it('explains itself with --help', async () => {
    const { code, stdout } = await run(['--help']);
    expect(code).toBe(0);
    for (const option of ['--policy', '--algorithm', '--together', '--by', '--top', '--json']) {
      expect(stdout).toContain(option);
    }
  });

  it('ends quietly when nobody reads its report to the end', async () => {
    const child = spawn(process.execPath, [cli, excerptPath, '-p', '2/1m']);
    child.stdout.destroy();
    let stderr = '';
    child.stderr.setEncoding('utf8').on('data', (text) => {
      stderr += text;
    });
    const code = await new Promise((resolve) => child.on('close', resolve));
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  });
});
