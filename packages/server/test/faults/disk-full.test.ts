import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { cli } from '../commands/running.ts';
import { Client } from '../support/client.ts';
import { dataDirectory, ended, started } from './command.ts';

/** In a namespace of its own a process may mount a small disk, which goes with it. */
const mounts = (program: string) => ['-rm', 'sh', '-c', program];
const canMount = process.platform === 'linux' && spawnSync('unshare', mounts('mount -t tmpfs tmpfs /tmp')).status === 0;
if (!canMount) console.info('No small disk can be mounted here (unshare -rm), so the full disk is not tried.');

describe.skipIf(!canMount)('a service whose disk is full', () => {
  it('refuses writes with 503, is as it was before them, and takes them again when there is room', async () => {
    const folder = dataDirectory();
    const kept = dataDirectory();
    // The disk goes with the process, so what is on it is copied away at the end.
    const program =
      `mount -t tmpfs -o size=256k tmpfs '${folder}' && ` +
      `'${process.execPath}' '${cli}' serve --port 0 --data-dir '${folder}' --log-level error & pid=$!; ` +
      `trap 'kill $pid' TERM; wait $pid; wait $pid; code=$?; cp -r '${folder}/.' '${kept}'; exit $code`;
    const child = spawn('unshare', mounts(program), { stdio: ['ignore', 'pipe', 'pipe'] });
    let said = '';
    child.stdout.setEncoding('utf8').on('data', (text) => {
      said += text;
    });
    let errors = '';
    child.stderr.setEncoding('utf8').on('data', (text) => {
      errors += text;
    });
    await expect.poll(() => said + errors, { timeout: 20_000 }).toMatch(/listening on (\S+)/);
    const client = new Client(/listening on (\S+)/.exec(said)![1]!);
    // The folder as that process sees it.
    const disk = join(`/proc/${child.pid}/root`, folder);
    try {
      const rule = (id: string) => ({ endpoint: `/${id}`, limit: 5, window: '1h', description: 'x'.repeat(900) });
      expect((await client.put('/ratelimit/rules/first', rule('first'))).status).toBe(201);
      expect((await client.post('/users?user_id=first&max_tokens=5&refill_rate=1')).status).toBe(200);
      writeFileSync(join(disk, 'ballast'), '');
      for (let size = 131_072; size >= 1; size = Math.floor(size / 2)) {
        // Until not even a byte fits.
        for (;;) {
          try {
            writeFileSync(join(disk, 'ballast'), Buffer.alloc(size), { flag: 'a' });
          } catch {
            break;
          }
        }
      }
      const before = (await client.get('/ratelimit/rules')).json;
      let refused = 0;
      const acknowledged: string[] = ['first'];
      for (let i = 0; i < 12; i++) {
        const id = `rule-${i}`;
        const { status, json } = await client.put(`/ratelimit/rules/${id}`, rule(id));
        if (status === 201) {
          acknowledged.push(id);
          continue;
        }
        refused++;
        expect([status, json.status]).toEqual([503, 503]);
        expect(json.detail).toContain('ENOSPC');
        expect(json.detail).not.toContain(folder);
        expect((await client.get(`/ratelimit/rules/${id}`)).status).toBe(404);
        expect((await client.check({ user_id: 'a', endpoint: `/${id}` })).json.rule).toBe(null);
      }
      // A last page of the file may have had room for some.
      expect(refused).toBeGreaterThanOrEqual(7);
      expect((await client.get('/ratelimit/rules')).json.version).toBe(before.version + acknowledged.length - 1);
      const users: number[] = [];
      for (let i = 0; i < 40; i++) {
        users.push((await client.post(`/users?user_id=${'u'.repeat(200)}${i}&max_tokens=5&refill_rate=1`)).status);
      }
      expect(users.at(-1)).toBe(503);
      expect((await client.get(`/users?user_id=${'u'.repeat(200)}39`)).status).toBe(404);
      // Decisions need no room.
      expect((await client.check({ user_id: 'b', endpoint: '/first' })).json).toMatchObject({
        rule: 'first',
        allowed: true,
      });

      rmSync(join(disk, 'ballast'));
      expect((await client.put('/ratelimit/rules/last', rule('last'))).status).toBe(201);
      expect((await client.post('/users?user_id=last&max_tokens=5&refill_rate=1')).status).toBe(200);
      acknowledged.push('last');

      child.kill('SIGTERM');
      const [code] = await once(child, 'close');
      expect([code, errors]).toEqual([0, '']);
      const next = await started(['--data-dir', kept]);
      const { rules } = (await next.client.get('/ratelimit/rules')).json;
      expect(rules.map(({ id }: { id: string }) => id).sort()).toEqual(acknowledged.sort());
      for (const id of ['first', 'last']) expect((await next.client.get(`/users?user_id=${id}`)).status).toBe(200);
      expect((await next.client.get(`/users?user_id=${'u'.repeat(200)}39`)).status).toBe(404);
      await ended(next);
    } finally {
      client.close();
      child.kill('SIGTERM');
    }
  });
});
