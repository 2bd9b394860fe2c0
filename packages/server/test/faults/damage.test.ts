import { createHash } from 'node:crypto';
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { sluice } from '../commands/running.ts';
import { dataDirectory, ended, started } from './command.ts';

/** A data directory with something in each file. */
let whole = '';

beforeAll(async () => {
  whole = dataDirectory();
  const service = await started(['--data-dir', whole]);
  const { client } = service;
  for (let i = 0; i < 5; i++) {
    await client.put(`/ratelimit/rules/rule-${i}`, { endpoint: `/${i}`, limit: i, window: '1m' });
    await client.post(`/users?user_id=user-${i}&max_tokens=${i + 1}&refill_rate=2`);
    await client.check({ user_id: `seen-${i}`, endpoint: `/${i}` });
  }
  await ended(service);
});

/** Each file, and its bytes by their digest. */
function digests(folder: string): Record<string, string> {
  const files = readdirSync(folder).sort();
  return Object.fromEntries(
    files.map((name) => [
      name,
      createHash('sha256')
        .update(readFileSync(join(folder, name)))
        .digest('hex'),
    ]),
  );
}

type Damage = (bytes: Buffer) => Buffer;

const flipped: Damage = (bytes) => {
  const copy = Buffer.from(bytes);
  copy[Math.floor(copy.length / 2)]! ^= 0x15;
  return copy;
};
const replaced: Damage = (bytes) => Buffer.concat([Buffer.from('{"other":"file"}\n'), bytes]);
const garbage: Damage = () => Buffer.from([0, 1, 2, 3, 0xff, 0xfe, 0x0a, 0x00]);
const withoutMiddle: Damage = (bytes) => {
  const lines = bytes.toString('latin1').split('\n');
  return Buffer.from(lines.toSpliced(2, 1).join('\n'), 'latin1');
};
const withoutLastLine: Damage = (bytes) => bytes.subarray(0, bytes.lastIndexOf('\n', -2) + 1);
const cutOff: Damage = (bytes) => bytes.subarray(0, bytes.length - 20);
const empty: Damage = () => Buffer.alloc(0);
const zeros: Damage = (bytes) => Buffer.alloc(bytes.length);
const brokenLine: Damage = (bytes) =>
  Buffer.from(bytes.toString('utf8').replace(/"createdAt":"[^"]*"/, '"createdAt":7'));

const position = /line \d|byte \d|position \d|record \d|offset \d/i;

describe('a service of which a data file is damaged', () => {
  it.each<[file: string, how: string, damage: Damage]>([
    ...['rules.journal', 'users.journal', 'counts.snapshot', 'analytics', 'users.seen'].flatMap(
      (file): [string, string, Damage][] => [
        [file, 'a bit is another', flipped],
        [file, 'something stands before it', replaced],
        [file, 'it is another file', garbage],
        [file, 'it is empty', empty],
        [file, 'it is zeros', zeros],
      ],
    ),
    ...['rules.journal', 'users.journal', 'analytics', 'users.seen'].map((file): [string, string, Damage] => [
      file,
      'a line is missing',
      withoutMiddle,
    ]),
    ...['counts.snapshot', 'analytics', 'users.seen'].map((file): [string, string, Damage] => [
      file,
      'it is cut off',
      cutOff,
    ]),
    ['users.seen', 'its last line is missing', withoutLastLine],
    ['users.seen', 'a digit is another', (bytes) => Buffer.from(bytes.toString().replace('seen-1', 'seen-7'))],
    ['users.seen', 'a field is another', brokenLine],
  ])('%s, and %s, does not start, says where, and leaves everything as it is', async (file, _how, damage) => {
    const folder = dataDirectory();
    cpSync(whole, folder, { recursive: true });
    const path = join(folder, file);
    const bytes = damage(readFileSync(path));
    expect(bytes.equals(readFileSync(path))).toBe(false);
    writeFileSync(path, bytes);
    const before = digests(folder);
    const { code, stdout, stderr } = await sluice(['serve', '--port', '0', '--data-dir', folder]);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(/^sluice: [^\n]+\n$/);
    expect(stderr).toContain(path);
    expect(stderr).toMatch(position);
    expect(stderr).not.toMatch(/\n\s+at /);
    expect(digests(folder)).toEqual(before);
  });

  it.each([
    ['rules', 'users'],
    ['users', 'rules'],
  ])(
    'by the journal of %s in the place of that of %s does not start, says which is which, and leaves both',
    async (found, expected) => {
      const folder = dataDirectory();
      cpSync(whole, folder, { recursive: true });
      const path = join(folder, `${expected}.journal`);
      writeFileSync(path, readFileSync(join(folder, `${found}.journal`)));
      const before = digests(folder);
      const { code, stdout, stderr } = await sluice(['serve', '--port', '0', '--data-dir', folder]);
      expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
      expect(stderr).toContain(
        `sluice: ${path} is a journal of ${found}, where one of ${expected} is expected (line 1). `,
      );
      expect(digests(folder)).toEqual(before);
    },
  );

  it.each(['rules.journal', 'users.journal', 'counts.snapshot', 'analytics', 'users.seen'])(
    'by a directory in the place of %s does not start, and says what to do',
    async (file) => {
      const folder = dataDirectory();
      cpSync(whole, folder, { recursive: true });
      const path = join(folder, file);
      rmSync(path);
      mkdirSync(path);
      const { code, stdout, stderr } = await sluice(['serve', '--port', '0', '--data-dir', folder]);
      expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
      expect(stderr).toMatch(/^sluice: [^\n]*EISDIR[^\n]* A directory has the name of a file: move it away\.\n$/);
      expect(stderr).toContain(path);
    },
  );

  it('by a crash amid a write starts without that write, and keeps what there was of it', async () => {
    const folder = dataDirectory();
    cpSync(whole, folder, { recursive: true });
    const path = join(folder, 'rules.journal');
    writeFileSync(path, cutOff(readFileSync(path)));
    const service = await started(['--data-dir', folder]);
    expect((await service.client.get('/ratelimit/rules')).json.rules).toHaveLength(4);
    expect(service.running.stderr).toContain(`${path}.torn-`);
    expect(readdirSync(folder).filter((name) => name.startsWith('rules.journal.torn-'))).toHaveLength(1);
    service.running.stderr = '';
    await ended(service);
  });
});

describe('a second service in the same data directory', () => {
  it('does not start, and says which process is there; the first one goes on', async () => {
    const folder = dataDirectory();
    const first = await started(['--data-dir', folder]);
    const { code, stdout, stderr } = await sluice(['serve', '--port', '0', '--data-dir', folder]);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toContain(`The directory ${folder} is in use by process ${first.running.child.pid}.`);
    expect((await first.client.put('/ratelimit/rules/a', { endpoint: '/a', limit: 1, window: '1m' })).status).toBe(201);
    await ended(first);
    const third = await started(['--data-dir', folder]);
    expect((await third.client.get('/ratelimit/rules')).json.rules).toHaveLength(1);
    await ended(third);
  });
});
