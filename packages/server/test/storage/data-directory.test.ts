import { spawn } from 'node:child_process';
import { readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { SluiceError } from '@sluice/core';
import { describe, expect, onTestFinished, test } from 'vitest';
import { DataDirectory } from '../../src/storage/data-directory.ts';
import { type LockOwner, thisProcess } from '../../src/storage/lock-owner.ts';
import { run, temporaryDirectory } from './program.ts';

const quick = { beat: 10, patience: 300 };

/** A lock that somebody has left in the directory. */
async function leftBehind(directory: string, change: Partial<LockOwner>, text?: string): Promise<string> {
  const path = join(directory, 'lock-left-behind');
  await writeFile(path, text ?? JSON.stringify({ ...(await thisProcess()), ...change }));
  return path;
}

async function refusal(path: string): Promise<string> {
  const error = await DataDirectory.open(path, quick).then(
    (directory) => directory.close(),
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(SluiceError);
  expect((error as SluiceError).code).toBe('STORE_UNAVAILABLE');
  return (error as SluiceError).message;
}

/** Gives signs of life for a lock until the test ends. */
function beating(path: string): void {
  const timer = setInterval(() => void utimes(path, new Date(), new Date()), 20);
  onTestFinished(() => clearInterval(timer));
}

describe('a data directory', () => {
  test('is created for its owner only, with what it is in, and holds no lock once it is closed', async () => {
    const path = join(await temporaryDirectory(), 'var', 'sluice');
    const directory = await DataDirectory.open(path);
    expect(directory.path).toBe(path);
    expect(directory.file('rules.journal')).toBe(join(path, 'rules.journal'));
    expect((await stat(path)).mode & 0o777).toBe(0o700);
    expect(await readdir(path)).toHaveLength(1);
    await directory.close();
    expect(await readdir(path)).toEqual([]);
  });

  test('where a file stands is an error with the remedy', async () => {
    const path = join(await temporaryDirectory(), 'file');
    await writeFile(path, '');
    expect(await refusal(join(path, 'data'))).toContain('A part of the path is a file: choose another directory.');
  });

  test('belongs to one process at a time, whose pid the other is told', async () => {
    const path = await temporaryDirectory();
    const holder = run('lock-holder.ts', [path]);
    await holder.printed(1);
    expect(holder.lines).toEqual(['open']);
    expect(await refusal(path)).toContain(`is in use by process ${holder.child.pid}. Stop that one first`);
    holder.child.stdin!.end();
    expect(await holder.ended).toBe(0);
    await (await DataDirectory.open(path, quick)).close();
  });

  test('belongs to one service at a time in one process, too', async () => {
    const path = await temporaryDirectory();
    const directory = await DataDirectory.open(path, quick);
    expect(await refusal(path)).toContain(`is in use by process ${process.pid}`);
    await directory.close();
    await (await DataDirectory.open(path, quick)).close();
  });

  test('is free at once when its process has been killed', async () => {
    const path = await temporaryDirectory();
    const holder = run('lock-holder.ts', [path]);
    await holder.printed(1);
    holder.child.kill('SIGKILL');
    await holder.ended;
    expect(await readdir(path)).toHaveLength(1);
    // Were it not seen that the process is gone, this would wait for its signs of life beyond the time of the test.
    const directory = await DataDirectory.open(path, { patience: 1e9 });
    expect(await readdir(path)).toHaveLength(1);
    await directory.close();
  });

  test('is never two processes’, however many start at once', async () => {
    const path = await temporaryDirectory();
    const holders = Array.from({ length: 6 }, () => run('lock-holder.ts', [path]));
    await Promise.all(holders.map(({ printed }) => printed(1)));
    const answers = holders.map(({ lines }) => lines[0]);
    expect(answers.filter((answer) => answer === 'open').length).toBeLessThanOrEqual(1);
    expect(answers.every((answer) => answer === 'open' || answer!.includes('is in use by process'))).toBe(true);
  });

  test('is never two services’, however many begin in the same moment', async () => {
    const path = await temporaryDirectory();
    for (let round = 0; round < 50; round++) {
      const opened = await Promise.allSettled(Array.from({ length: 4 }, () => DataDirectory.open(path, quick)));
      const open = opened.filter((result) => result.status === 'fulfilled');
      expect(open.length).toBeLessThanOrEqual(1);
      for (const { value } of open) await value.close();
      expect(await readdir(path)).toEqual([]);
    }
  });
});

describe.skipIf(process.platform !== 'linux')('a lock left behind (told by Linux alone)', () => {
  test('is none where another process has the pid by now, as the first one of a container always does', async () => {
    const path = await temporaryDirectory();
    await leftBehind(path, { started: '17' });
    const directory = await DataDirectory.open(path, { patience: 1e9 });
    await directory.close();
    expect(await readdir(path)).toEqual([]);
  });

  test('is none where the process is a zombie', async () => {
    const path = await temporaryDirectory();
    // The shell becomes a program that never takes note of the end of its child.
    const parent = spawn('sh', ['-c', 'sleep 0 & echo $!; exec tail -f /dev/null'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    onTestFinished(() => void parent.kill('SIGKILL'));
    const pid = Number(await new Promise((resolve) => parent.stdout!.once('data', resolve)));
    const fields = async () => (await readFile(`/proc/${pid}/stat`, 'utf8')).split(') ')[1]!.split(' ');
    await expect.poll(async () => (await fields())[0], { timeout: 10_000 }).toBe('Z');
    await leftBehind(path, { pid, started: (await fields())[19]! });
    await (await DataDirectory.open(path, { patience: 1e9 })).close();
  });

  test.each([
    ['in another container', { namespace: 'pid:[1]', pid: 1 }],
    ['before the machine started anew, or on another one', { boot: 'another', pid: 1 }],
  ])('by a process %s counts for nothing when it gives no sign of life', async (_, owner) => {
    const path = await temporaryDirectory();
    await leftBehind(path, owner);
    const directory = await DataDirectory.open(path, quick);
    expect(await readdir(path)).toHaveLength(1);
    await directory.close();
  });

  test('by a process that cannot be seen from here counts as long as it gives signs of life', async () => {
    const path = await temporaryDirectory();
    const lock = await leftBehind(path, { namespace: 'pid:[1]', pid: 1, host: 'elsewhere' });
    beating(lock);
    expect(await refusal(path)).toContain('is in use by process 1 on elsewhere');
    expect(await readdir(path)).toEqual(['lock-left-behind']);
  });

  test('half written counts for nothing, unless it gives signs of life', async () => {
    const path = await temporaryDirectory();
    const lock = await leftBehind(path, {}, '{"pid":');
    await (await DataDirectory.open(path, quick)).close();
    expect(await readdir(path)).toEqual([]);
    await leftBehind(path, {}, '{"pid":');
    beating(lock);
    expect(await refusal(path)).toContain('is in use by process unknown');
  });
});

describe('a lock that is taken away', () => {
  test('is told to its owner', async () => {
    const path = await temporaryDirectory();
    const lost = new Promise<SluiceError>((resolve) => {
      void DataDirectory.open(path, { ...quick, onLost: resolve }).then(async () => {
        for (const name of await readdir(path)) await rm(join(path, name));
      });
    });
    expect((await lost).message).toContain('another service may use the directory by now');
  });
});
