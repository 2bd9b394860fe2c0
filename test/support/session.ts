import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import { type Block, root } from './documents.js';
import { RedisCluster } from './redis/cluster.js';
import { RedisSentinels } from './redis/sentinel.js';
import { RedisServer } from './redis/server.js';
import { Program, run } from './run.js';
import { systemCommand } from './system-command.js';

/** The lines that a session runs; all others of a document are run elsewhere. */
export const isOfSession = (line: string): boolean => /^(?:npx -y pnpm@12 )?(?:curl|sluice|openssl) /.test(line);

/** The servers that documents speak of, by the ports that they have there. */
const servers: readonly [ports: RegExp, start: () => Promise<{ ports: readonly number[]; stop(): Promise<void> }>][] = [
  [
    /127\.0\.0\.1:6379/g,
    async () => {
      const server = await RedisServer.start();
      return { ports: [Number(new URL(server.url).port)], stop: () => server.stop() };
    },
  ],
  [/127\.0\.0\.1:700\d/g, () => RedisCluster.start()],
  [
    /127\.0\.0\.1:26379/g,
    async () => {
      const sentinels = await RedisSentinels.start();
      return { ports: sentinels.sentinelPorts, stop: () => sentinels.stop() };
    },
  ],
];

/**
 * A Session runs the lines of a document as its reader would, one after the other in one folder: `sluice serve` takes the
 * place of the service that ran before, and `localhost:8080` is where it listens. What a line is said to print stands
 * behind it in comments, in which `…` is any text.
 */
export class Session {
  readonly #folder = mkdtempSync(join(tmpdir(), 'sluice-session-'));
  #service: Program | undefined;
  #address = '';
  #stops: (() => Promise<void>)[] = [];
  /** Puts the clocks of the services within an hour and a minute, so that no window ends while they are asked. */
  readonly #early =
    `Object.defineProperty(performance,"timeOrigin",{value:performance.timeOrigin+${1_805_000 - (Date.now() % 3_600_000)}})`;

  async run({ place, language, text }: Block): Promise<void> {
    const [, name] = /^# (sluice\.yaml)\n/.exec(text) ?? [];
    if (language === 'yaml' && name !== undefined) writeFileSync(join(this.#folder, name), text);
    if (language !== 'sh') return;
    for (const [, line, comments] of text.replaceAll('\\\n', '').matchAll(/^([^#\n].*)\n((?:# .*\n)*)/gm)) {
      if (isOfSession(line!)) await this.#line(line!, comments!.replace(/^# /gm, '').trim(), `${place} ${line}`);
    }
  }

  /** Where the service listens that was started last. */
  get url(): string {
    return `http://${this.#address}`;
  }

  async end(): Promise<void> {
    await this.#service?.end();
    for (const stop of this.#stops) await stop();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #line(line: string, expected: string, place: string): Promise<void> {
    const early = `'data:text/javascript,${encodeURIComponent(this.#early)}'`;
    const cli = `'${process.execPath}' --import ${early} --conditions=source --import ${import.meta.resolve('tsx')} ${join(root, 'packages/server/src/cli.ts')}`;
    if (/\bsluice serve\b/.test(line)) {
      await this.#service?.end();
      // From here, the command of the workspace is built first; anywhere else, there are the sources.
      const command = line.startsWith('npx') ? line : line.replace(/^sluice/, `exec ${cli}`);
      this.#service = new Program('sh', ['-c', await this.#withServers(command)], this.#options(line));
      const [, port] = await this.#service.says(/listening on http:\/\/\S+?:(\d+) /);
      this.#address = `127.0.0.1:${port}`;
      return;
    }
    const [tool] = /^(?:curl|openssl)\b/.exec(line) ?? [];
    if (tool !== undefined) await systemCommand(tool);
    const command = line.replace(/^sluice/, cli).replaceAll('localhost:8080', this.#address);
    const { stdout, stderr, code } = await run('sh', ['-c', command], this.#options(line));
    expect(code, `${place}\n${stderr}`).toBe(0);
    if (expected === '') return;
    const parts = expected.split('…').map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
    expect(stdout.replaceAll('\r', '').trim(), place).toMatch(new RegExp(`^${parts.join('[^]*?')}$`));
  }

  #options(line: string) {
    const env = { SLUICE_PORT: '0', INIT_CWD: this.#folder };
    if (!line.startsWith('npx')) return { cwd: this.#folder, env };
    return { cwd: root, env: { ...env, SLUICE_DATA_DIR: join(this.#folder, '.sluice') } };
  }

  async #withServers(line: string): Promise<string> {
    let result = line;
    for (const [address, start] of servers) {
      if (result.search(address) < 0) continue;
      const server = await start();
      this.#stops.push(() => server.stop());
      const { ports } = server;
      let i = 0;
      result = result.replace(address, () => `127.0.0.1:${ports[i++ % ports.length]}`);
    }
    return result;
  }
}
