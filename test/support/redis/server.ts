import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from '../run.js';
import { systemCommand } from '../system-command.js';
import { GuardedProcess } from './guarded-process.js';
import { answers, freePort } from './port.js';
import { until } from './until.js';

export interface RedisServerOptions {
  /** More of the command line, such as `['--maxmemory', '2mb']`. */
  readonly args?: readonly string[];
  /** A configuration file, for what the command line cannot say. */
  readonly config?: string;
  /** By default one that is free. */
  readonly port?: number;
}

/**
 * A RedisServer is a `redis-server` process of its own on the loopback, without persistence, in a temporary folder that
 * goes with it. It can be paused, killed and restarted on the same port, and never outlives the process of the test.
 */
export class RedisServer {
  readonly port: number;
  readonly #folder: string;
  readonly #file: string | undefined;
  #args: readonly string[];
  #process: GuardedProcess | undefined;
  #isPaused = false;

  private constructor(port: number, folder: string, file: string | undefined, args: readonly string[]) {
    this.port = port;
    this.#folder = folder;
    this.#file = file;
    this.#args = args;
  }

  /** Starts a server and resolves when it answers. Rejects with what the server printed if it ends instead. */
  static async start(options: RedisServerOptions = {}): Promise<RedisServer> {
    const { args = [], config, port } = options;
    for (;;) {
      const folder = await mkdtemp(join(tmpdir(), 'sluice-redis-'));
      const file = config === undefined ? undefined : join(folder, 'redis.conf');
      if (file !== undefined) await writeFile(file, config!);
      const server = new RedisServer(port ?? (await freePort()), folder, file, args);
      try {
        await server.#launch();
        return server;
      } catch (error) {
        await server.stop();
        // Another process was faster: any other port will do.
        if (port === undefined && /Address already in use/.test(String(error))) continue;
        throw error;
      }
    }
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  /** The process number; after a restart it is another one, and `undefined` while none runs. */
  get pid(): number | undefined {
    return this.isRunning ? this.#process?.pid : undefined;
  }

  /** Whether the process runs, paused or not. */
  get isRunning(): boolean {
    return this.#process?.isRunning ?? false;
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  /** The last of what the server has logged since it was started. */
  get log(): string {
    return this.#process?.output ?? '';
  }

  /**
   * Runs `redis-cli` with these arguments against the server and resolves to what it prints, trimmed. Rejects on an
   * error reply, and at once where the server does not run or is paused.
   */
  async cli(...args: readonly string[]): Promise<string> {
    if (!this.isRunning || this.#isPaused) {
      throw new Error(`The Redis server on port ${this.port} is ${this.#isPaused ? 'paused' : 'not running'}`);
    }
    const command = await systemCommand('redis-cli', { apt: 'redis-tools', brew: 'redis' });
    const { code, stdout, stderr } = await run(command, ['-e', '-h', '127.0.0.1', '-p', String(this.port), ...args]);
    if (code !== 0) throw new Error(`${args.join(' ')}: ${(stderr + stdout).trim()}`);
    return stdout.trim();
  }

  /** Hangs the server: it stays connected, and answers nothing more once this has resolved. */
  async pause(): Promise<void> {
    if (!this.isRunning) throw new Error(`The Redis server on port ${this.port} does not run, so it cannot be paused`);
    this.#isPaused = true;
    await this.#process?.pause();
  }

  /** Lets a paused server go on; it answers then also what it was sent meanwhile. */
  resume(): void {
    this.#process?.resume();
    this.#isPaused = false;
  }

  /** Kills the server without a goodbye, and resolves when it is gone. It can be restarted. */
  async kill(): Promise<void> {
    await this.#process?.kill();
    this.#isPaused = false;
  }

  /**
   * Starts the server anew on its port and in its folder, after killing it if it runs, and resolves when it answers.
   * Given `args`, it has these instead of those of its start.
   */
  async restart(args?: readonly string[]): Promise<void> {
    await this.kill();
    if (args !== undefined) this.#args = args;
    await this.#launch();
  }

  /** Ends the server, in whatever state it is, and removes its folder. May be called again. */
  async stop(): Promise<void> {
    await this.kill();
    await rm(this.#folder, { recursive: true, force: true });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #launch(): Promise<void> {
    const command = await systemCommand('redis-server', { brew: 'redis' });
    const own = ['--bind', '127.0.0.1', '--port', String(this.port), '--dir', this.#folder, '--daemonize', 'no'];
    const data = ['--save', '', '--appendonly', 'no'];
    // The file comes first; of options, the later one counts.
    const args = [...(this.#file === undefined ? [] : [this.#file]), ...own, ...data, ...this.#args];
    const server = new GuardedProcess(command, args, this.#folder);
    this.#process = server;
    await until(`redis-server answers on port ${this.port}`, async () => {
      if (!server.isRunning) return true;
      // Its own word first: what answers on the port could be another server.
      return /Ready to accept connections|Sentinel ID is/.test(server.output) && answers(this.port);
    });
    if (server.isRunning) return;
    await server.complete;
    throw new Error(`redis-server ${args.join(' ')} ended:\n${server.output}`);
  }
}
