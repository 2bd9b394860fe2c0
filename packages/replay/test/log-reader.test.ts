import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { constants, gunzipSync, gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { InputError, inputProblem, readLog } from '../src/log-reader.ts';
import { temporaryFile, temporaryFolder } from './temporary-file.ts';

const excerptPath = join(import.meta.dirname, 'fixtures/excerpt.clf');
const oddPath = join(import.meta.dirname, 'fixtures/odd.clf');
const excerpt = readFileSync(excerptPath);

function line(host: string, time = '10:05:03', path = '/'): string {
  return `${host} - - [17/May/2015:${time} +0000] "GET ${path} HTTP/1.1" 200 5\n`;
}

function seconds(time: string): number {
  return Date.parse(`2015-05-17T${time}Z`) / 1_000;
}

async function problemOf(path: string): Promise<string> {
  const error = await readLog(path).catch((error: unknown) => error);
  expect(error).toBeInstanceOf(InputError);
  return (error as InputError).message;
}

describe('readLog', () => {
  it('orders requests by time, those of one second as they were logged, and counts those out of order', async () => {
    const log = await readLog(
      temporaryFile(
        line('a', '10:05:03') +
          line('b', '10:05:01') +
          line('c', '10:05:03') +
          line('d', '10:05:01') +
          line('e', '10:05:04'),
      ),
    );
    expect([...log.owners].map((owner) => log.clients[owner])).toEqual([
      'host:b',
      'host:d',
      'host:a',
      'host:c',
      'host:e',
    ]);
    expect([...log.times]).toEqual(['10:05:01', '10:05:01', '10:05:03', '10:05:03', '10:05:04'].map(seconds));
    expect(log.outOfOrder).toBe(2);
  });

  it('keeps every request of a real log that is out of order', async () => {
    const stamps = [...excerpt.toString().matchAll(/^(\S+) .*?\[(\d+)\/May\/2015:([\d:]+) \+0000\]/gm)].map(
      ([, host, day, time]) => ({ host: `ip:${host}`, time: Date.parse(`2015-05-${day}T${time}Z`) / 1_000 }),
    );
    const late = stamps.filter(({ time }, i) => stamps.slice(0, i).some((earlier) => earlier.time > time));
    const log = await readLog(excerptPath);
    expect(Array.from(log.times, (time, i) => ({ host: log.clients[log.owners[i]!], time }))).toEqual(
      stamps.toSorted((a, b) => a.time - b.time),
    );
    expect(late.length).toBeGreaterThan(50);
    expect(log.outOfOrder).toBe(late.length);
    expect(log.malformed.count).toBe(0);
  });

  it('reads more requests than fit the first columns', async () => {
    const log = await readLog(temporaryFile(line('a').repeat(5_000) + line('b')));
    expect(log.times).toHaveLength(5_001);
    expect(log.clients[log.owners[5_000]!]).toBe('host:b');
  });

  it.each([
    ['gzip that is not called so', gzipSync(excerpt), 'access.log'],
    [
      'gzip in two members, as rotated logs put together',
      Buffer.concat([gzipSync(excerpt.subarray(0, 9_999)), gzipSync(excerpt.subarray(9_999))]),
      'access.log.gz',
    ],
    ['plain text that is called gzip', excerpt, 'access.log.gz'],
  ])('reads %s', async (_, content, name) => {
    const [log, plain] = await Promise.all([readLog(temporaryFile(content, name)), readLog(excerptPath)]);
    expect(log).toEqual(plain);
  });

  it('reads odd lines, and reports those that are no log lines by number', async () => {
    const log = await readLog(oddPath);
    expect([...log.owners].map((owner) => log.clients[owner])).toEqual([
      'ip:2001:db8:1:2::/64',
      'ip:2001:db8:1:2::/64',
      'ip:203.0.113.7',
      'ip:203.0.113.7',
      'host:crawler.example.com',
      'host:crawler.example.com',
      'ip:198.51.100.9',
      'ip:203.0.113.8',
    ]);
    const leapDay = Date.parse('2024-02-29T00:00:00Z') / 1_000;
    expect(Array.from(log.times, (time) => time - leapDay)).toEqual([-2, 1, 2, 3, 4, 5, 6, 7]);
    expect(log.malformed.count).toBe(3);
    expect(log.malformed.first.map(({ line }) => line)).toEqual([10, 11, 12]);
  });

  it('tells clients by their user names where that is asked for, and else by address', async () => {
    const { clients } = await readLog(oddPath, { by: 'user' });
    expect(clients).toContain('user:alice');
    expect(clients).toContain('user:frank von stein');
    expect(clients).toContain('ip:203.0.113.7');
  });

  it('reads lines of a megabyte across chunks', async () => {
    const path = `/${'é'.repeat(500_000)}`;
    const log = await readLog(temporaryFile(line('a') + line('b', '10:05:04', path) + line('c', '10:05:05')));
    expect(log.clients).toEqual(['host:a', 'host:b', 'host:c']);
  });

  it('counts a line that is too long for any log as malformed, and goes on behind it', async () => {
    const log = await readLog(temporaryFile(line('a') + 'x'.repeat(9_000_000) + line('b') + line('c')));
    expect(log.clients).toEqual(['host:a', 'host:c']);
    expect(log.malformed.count).toBe(1);
    expect(log.malformed.first[0]).toMatchObject({ line: 2, text: expect.stringMatching(/^x{50,80}…$/) });
  });

  it('keeps only the first few malformed lines of many', async () => {
    const log = await readLog(temporaryFile(`${'junk\n'.repeat(1_000)}${line('a')}`));
    expect(log.malformed.count).toBe(1_000);
    expect(log.malformed.first.map(({ line }) => line)).toEqual([1, 2, 3, 4, 5]);
  });

  it('says how many requests could be read of gzip that ends too early or is damaged', async () => {
    const lines = Array.from({ length: 20_000 }, (_, i) =>
      line(`198.51.${i % 256}.${(i * 7) % 256}`, '10:05:03', `/${i * i}`),
    );
    const zipped = gzipSync(lines.join(''));
    const half = zipped.subarray(0, zipped.length / 2);
    const text = gunzipSync(half, { finishFlush: constants.Z_SYNC_FLUSH }).toString();
    const readable = text.split('\n').length - 1;
    expect(readable).toBeGreaterThan(1_000);
    expect(await problemOf(temporaryFile(half))).toContain(
      `ends too early: at least ${readable} requests could be read`,
    );

    zipped[zipped.length - 6]! ^= 1;
    expect(await problemOf(temporaryFile(zipped))).toMatch(/is damaged: at least 19\d{3} requests could be read/);
  });

  it.each([
    ['an empty file', '', 'is empty.'],
    ['an empty file that was zipped', gzipSync(''), 'is empty.'],
    ['a file of empty lines', '\n\r\n\n', 'holds empty lines only'],
    ['a file of a single byte', '\x1f', 'holds no line in Common or Combined Log Format'],
    ['something else', 'a\n\x1b[2Jb\n', 'The first of 2 that are something else is line 1: a'],
    ['something that drives terminals', '\x1b[2J', 'line 1: \\x1b[2J'],
  ])('says what is wrong with %s', async (_, content, message) => {
    expect(await problemOf(temporaryFile(content))).toContain(message);
  });

  it('says that a file is missing, or a directory, by its name without control characters', async () => {
    expect(await problemOf(join(temporaryFolder, 'no\x1b[2Jsuch.log'))).toMatch(
      /^There is no file .*no\\x1b\[2Jsuch\.log\.$/,
    );
    expect(await problemOf(temporaryFolder)).toContain('is a directory.');
    expect(await problemOf(join(oddPath, 'x'))).toContain('cannot be read: ENOTDIR');
  });

  it('says that permission is missing', () => {
    const error = Object.assign(new Error('permission denied'), { code: 'EACCES' });
    expect(inputProblem(error, 'access.log', 0)).toBe('No permission to read access.log.');
  });

  it('tells how far it is, up to the size of the file', async () => {
    const progress: [number, number | undefined][] = [];
    await readLog(excerptPath, { onProgress: (done, total) => progress.push([done, total]) });
    expect(progress.at(-1)).toEqual([excerpt.length, excerpt.length]);
  });
});
