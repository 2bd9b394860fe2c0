import { fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { accepts, endTogether, freePort, portOf, temporaryFolder } from './processes.js';

const folder = temporaryFolder();

const app = createServer((req, res) => res.end(`The app answers ${req.method} ${req.url}\n`)).listen(0, '127.0.0.1');
await once(app, 'listening');

const sluice = fileURLToPath(new URL('cli.js', import.meta.resolve('@sluice/server')));
const config = join(import.meta.dirname, 'sluice.yaml');
const flags = ['--config', config, '--port', '0', '--log-level', 'warn', '--data-dir', join(folder, 'data')];
const service = fork(sluice, ['serve', ...flags], { stdio: ['ignore', 'pipe', 'inherit', 'ipc'] });

// As it stands, the configuration has the ports that these would have on a server.
const port = await freePort();
const { port: appPort } = app.address() as AddressInfo;
const ports: Record<string, number> = { 8000: port, 8080: await portOf(service), 3000: appPort };
const conf = readFileSync(process.argv[2] ?? 'nginx.conf', 'utf8');
writeFileSync(
  join(folder, 'nginx.conf'),
  conf.replace(/(?<=127\.0\.0\.1:)\d+/g, (own) => String(ports[own] ?? own)),
);

const nginx = spawn('nginx', ['-p', folder, '-c', 'nginx.conf', '-g', 'daemon off;'], { stdio: 'inherit' });
nginx.once('error', ({ message }) => console.error(`This needs nginx (${message}): sudo apt-get install nginx`));
endTogether(service, nginx);
await accepts(port);

const url = `http://127.0.0.1:${port}`;
console.log(
  `Listening on ${url}\n\n  curl -i -X POST '${url}/login?n=[1-4]'\n  curl -i --interface 127.0.0.66 ${url}/`,
);
