import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);

/**
 * Starts three masters and three replicas on this machine, which end with this process. Resolves to their addresses,
 * with commas between. Ends the program with advice where Redis is not installed.
 */
export async function startCluster(): Promise<string> {
  try {
    await Promise.all([run('redis-server', ['--version']), run('redis-cli', ['--version'])]);
  } catch (error) {
    console.error(`To start a cluster, this needs redis-server and redis-cli (${(error as Error).message}). Install them:

  sudo apt-get install redis-server    # Debian and Ubuntu
  brew install redis                   # macOS

or name the nodes of a cluster that runs: REDIS_NODES=10.0.0.1:6379,10.0.0.2:6379`);
    process.exit(1);
  }

  const folder = mkdtempSync(join(tmpdir(), 'redis-cluster-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit());

  const ports: number[] = [];
  while (ports.length < 6) ports.push(await startNode(folder));
  const nodes = ports.map((port) => `127.0.0.1:${port}`);
  await run('redis-cli', ['--cluster', 'create', ...nodes, '--cluster-replicas', '1', '--cluster-yes']);
  for (const port of ports) await untilComplete(port);
  const addresses = nodes.join(',');
  console.log(`Started a Redis cluster at ${addresses}`);
  return addresses;
}

/** Starts a node on a port that is free, and resolves to it. */
async function startNode(folder: string): Promise<number> {
  const port = 20_000 + Math.floor(Math.random() * 2_000);
  // The nodes talk to each other on a second port.
  if (!(await isFree(port)) || !(await isFree(port + 10_000))) return startNode(folder);

  const place = ['--bind', '127.0.0.1', '--port', `${port}`, '--dir', folder, '--save', ''];
  const cluster = ['--cluster-enabled', 'yes', '--cluster-config-file', `${port}.conf`];
  // A server that is lost is replaced soon, and meanwhile the others serve their part of the keys.
  const failover = ['--cluster-node-timeout', '2000', '--cluster-require-full-coverage', 'no'];
  const node = spawn('redis-server', [...place, ...cluster, ...failover], { stdio: ['ignore', 'pipe', 'inherit'] });
  process.once('exit', () => node.kill('SIGKILL'));

  let log = '';
  await new Promise<void>((resolve, reject) => {
    node.stdout.setEncoding('utf8').on('data', (text: string) => {
      if (log.length < 10_000) log += text;
      if (log.includes('Ready to accept connections')) resolve();
    });
    node.once('exit', (code) => reject(new Error(`redis-server ended with ${code}:\n${log}`)));
  });
  return port;
}

/** Not every node knows at once what redis-cli has arranged. */
async function untilComplete(port: number): Promise<void> {
  for (;;) {
    const { stdout } = await run('redis-cli', ['-p', `${port}`, 'cluster', 'info']);
    if (stdout.includes('cluster_state:ok')) return;
    await setTimeout(100);
  }
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer().listen(port, '127.0.0.1');
  const free = await once(server, 'listening').then(
    () => true,
    () => false,
  );
  if (free) await once(server.close(), 'close');
  return free;
}
