import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Program, run, succeed } from './support/run.js';

const packages = fileURLToPath(new URL('../packages/', import.meta.url));
const names = readdirSync(packages).sort();
const bin = fileURLToPath(new URL('node_modules/.bin/', import.meta.url));
const project = mkdtempSync(join(tmpdir(), 'sluice-packages-'));
const tarballs = new Map<string, string>();

/** A project of its own, with the packed packages and their own dependencies, as an installation would lay them out. */
beforeAll(async () => {
  for (const name of names) {
    const folder = join(packages, name);
    const packed = await succeed(...pnpm('pack', '--pack-destination', project), { cwd: folder });
    const tarball = /\S+\.tgz/.exec(packed)?.[0] ?? '';
    tarballs.set(name, join(project, tarball.split('/').at(-1)!));
    const installed = join(project, 'node_modules/@sluice', name);
    mkdirSync(installed, { recursive: true });
    await succeed('tar', ['-xzf', tarballs.get(name)!, '-C', installed, '--strip-components=1']);
    const { dependencies = {}, peerDependencies = {} } = manifest(installed);
    for (const dependency of Object.keys({ ...dependencies, ...peerDependencies })) {
      if (dependency.startsWith('@sluice/')) continue;
      const link = join(installed, 'node_modules', dependency);
      mkdirSync(dirname(link), { recursive: true });
      symlinkSync(join(folder, 'node_modules', dependency), link);
    }
  }
  writeFileSync(join(project, 'package.json'), '{ "private": true }');
});
afterAll(() => rmSync(project, { recursive: true, force: true }));

describe.each(names)('the packed package %s', (name) => {
  it('passes publint --strict', async () => {
    const { code, stdout, stderr } = await run(join(bin, 'publint'), ['--strict', tarballs.get(name)!]);
    expect(stdout + stderr).toContain('All good');
    expect(code).toBe(0);
  });

  it('passes attw --profile esm-only', async () => {
    const args = ['--profile', 'esm-only', '--no-color', tarballs.get(name)!];
    const { code, stdout } = await run(join(bin, 'attw'), args);
    expect(stdout).toContain('node16 (from ESM) │ 🟢 (ESM)');
    expect(code, stdout).toBe(0);
  });

  it('can be required from CommonJS, and imported', async () => {
    const script = `
      const required = Object.keys(require('@sluice/${name}')).sort();
      import('@sluice/${name}').then((imported) => {
        console.log(JSON.stringify([required, Object.keys(imported).sort()]));
      });`;
    writeFileSync(join(project, 'script.cjs'), script);
    const [required, imported] = JSON.parse(await succeed(process.execPath, ['script.cjs'], { cwd: project }));
    expect(required).toEqual(expect.arrayContaining(imported));
    expect(imported.length).toBeGreaterThan(0);
  });

  it('names a licence, its engine and what it is', () => {
    const { license, engines, description, version } = manifest(join(project, 'node_modules/@sluice', name));
    expect(license).toBe('MIT');
    expect(engines).toEqual({ node: '>=20.19' });
    expect(description).toMatch(/\w{3}/);
    expect(version).toMatch(/^\d+\.\d+\.\d+/);
  });
});

it('an app that requires @sluice/express from CommonJS limits requests', async () => {
  const script = `
    const { rateLimit } = require('@sluice/express');
    const express = require('${join(packages, 'express/node_modules/express').replaceAll('\\', '/')}');
    const app = express();
    app.use(rateLimit({ limit: 1, window: '1h', algorithm: 'token-bucket' }));
    app.get('/', (req, res) => res.send('hello'));
    const server = app.listen(0, '127.0.0.1', async () => {
      const url = 'http://127.0.0.1:' + server.address().port;
      const statuses = [(await fetch(url)).status, (await fetch(url)).status];
      console.log(statuses.join(' '));
      server.closeAllConnections();
      server.close();
    });`;
  writeFileSync(join(project, 'app.cjs'), script);
  expect((await succeed(process.execPath, ['app.cjs'], { cwd: project })).trim()).toBe('200 429');
});

it('the command of the packed @sluice/replay plays a log', async () => {
  const log = join(packages, 'replay/test/fixtures/excerpt.clf');
  const cli = join(project, 'node_modules/@sluice/replay', manifest(join(packages, 'replay')).bin['sluice-replay']);
  const output = await succeed(process.execPath, [cli, log, '--policy', '60/1m', '--policy', '60/1m burst 120']);
  expect(output).toContain('60/1m burst 120');
});

it('the command of @sluice/server works where its tarballs are installed', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-installed-'));
  try {
    writeFileSync(join(folder, 'package.json'), '{ "private": true }');
    const own = ['core', 'fastify', 'redis', 'server'].map((name) => tarballs.get(name)!);
    // The packages of this repository are not published yet: each finds the others among the tarballs.
    await succeed('npm', ['install', '--prefer-offline', '--no-audit', '--no-fund', ...own], { cwd: folder });
    const { code, stdout, stderr } = await run('npx', ['sluice', '--help'], { cwd: folder });
    expect(stdout, stderr).toMatch(/^Usage: sluice serve \[options\]/);
    expect(code).toBe(0);

    const env = { SLUICE_PORT: '0', SLUICE_DATA_DIR: join(folder, 'data'), SLUICE_LOG_LEVEL: 'warn' };
    const service = new Program('npx', ['sluice', 'serve'], { cwd: folder, env });
    try {
      const [, url] = await service.says(/listening on (http:\/\/\S+) /);
      expect(await (await fetch(`${url}/check?user_id=alice`)).json()).toMatchObject({ allowed: true, remaining: 999 });
      expect((await fetch(`${url}/docs`)).status).toBe(200);
    } finally {
      await service.end();
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

function manifest(folder: string) {
  return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
}

/** The pnpm that runs this, else the one that npx finds. */
function pnpm(...args: string[]): [string, string[]] {
  const path = process.env.npm_execpath ?? '';
  return /pnpm[^/\\]*$/.test(path) && !/\.c?js$/.test(path) ? [path, args] : ['npx', ['-y', 'pnpm@12', ...args]];
}
