import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Clock } from '@sluice/core';
import { afterAll, afterEach, beforeAll, beforeEach, describe } from 'vitest';
import { RedisServer } from '../../../../test/support/redis/server.ts';
import { startService } from '../../src/service.ts';
import type { Settings, StorageSettings } from '../../src/settings/settings.ts';
import { Client, type HeaderFields } from './client.ts';

/** What a service has where a test does not say otherwise: nobody is limited soon, and its log is not shown. */
export const plain: Omit<Settings, 'storage'> = {
  host: '127.0.0.1',
  port: 0,
  defaults: { algorithm: 'sliding-window-counter', limit: 1_000, window: '1h' },
  rules: [],
  lists: { allow: [], block: [] },
  adminTokens: [],
  checkTokens: [],
  headers: 'legacy',
  userTtl: '30d',
  maxUsers: 1_000_000,
  maxKeys: 1_000_000,
  adminLimit: false,
  checkLimit: false,
  bodyLimit: 1_048_576,
  logLevel: 'silent',
};

/** A service that runs, and a client of it. */
export interface TestService extends Client {
  /** Stops the service; called by itself at the end of the test. */
  stop(): Promise<void>;
}

export interface StartOptions {
  readonly clock?: Clock;
  /** Header fields of every request of the client. */
  readonly headers?: HeaderFields;
}

/** Starts a service with the settings of `plain`, those given, and the storage of the test. */
export type Start = (settings?: Partial<Settings>, options?: StartOptions) => Promise<TestService>;

/** What the tests of a backend work with. */
export interface TestBackend {
  readonly name: 'embedded' | 'Redis';
  /** Where a service keeps its data in the test that runs; each test begins without any. */
  storage(): StorageSettings;
  /** The server; `undefined` for the embedded store. */
  redis(): RedisServer | undefined;
}

class RunningService extends Client implements TestService {
  readonly #stop: () => Promise<void>;
  #stopped: Promise<void> | undefined;

  constructor(url: string, headers: HeaderFields | undefined, stop: () => Promise<void>) {
    super(url, headers);
    this.#stop = stop;
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#stop().finally(() => this.close());
    return this.#stopped;
  }
}

/** Starts a service in this process, with a client of it. Whoever starts it stops it. */
export async function running(
  settings: Partial<Settings> & Pick<Settings, 'storage'>,
  { clock, headers }: StartOptions = {},
): Promise<TestService> {
  const service = await startService({ ...plain, ...settings }, clock);
  return new RunningService(service.url, headers, () => service.close());
}

/** Starts services that are stopped when the test ends; to be called in a describe block. */
export function withServices(storage: () => StorageSettings): Start {
  const started: TestService[] = [];
  afterEach(async () => {
    const ended = await Promise.allSettled(started.splice(0).map((service) => service.stop()));
    for (const end of ended) if (end.status === 'rejected') throw end.reason;
  });
  return async (settings = {}, options = {}) => {
    const service = await running({ storage: storage(), ...settings }, options);
    started.push(service);
    return service;
  };
}

/** Runs a describe block on the embedded store: in an empty folder for each test, which goes with it. */
export function onEmbedded(name: string, tests: (start: Start, backend: TestBackend) => void): void {
  describe(`${name} (embedded)`, () => {
    let dataDir = '';
    beforeEach(async () => {
      dataDir = await mkdtemp(join(tmpdir(), 'sluice-service-'));
    });
    // Hooks that end a test run in the reverse order: the services stop before their data goes.
    afterEach(() => rm(dataDir, { recursive: true, force: true }));
    const storage = (): StorageSettings => ({ kind: 'embedded', dataDir });
    tests(withServices(storage), { name: 'embedded', storage, redis: () => undefined });
  });
}

/** Redis for two instances, at these addresses. A decision waits for it long: the machine's load must not decide. */
export function onUrls(urls: readonly string[], sentinel?: string): StorageSettings {
  const common = { kind: 'redis', urls, instances: 2, prefix: 'ratelimit', deadline: '10s' } as const;
  return sentinel === undefined ? common : { ...common, sentinel };
}

/** Runs a describe block on a real Redis, which each test finds empty. */
export function onRedis(name: string, tests: (start: Start, backend: TestBackend) => void): void {
  describe(`${name} (Redis)`, () => {
    let server: RedisServer | undefined;
    beforeAll(async () => {
      server = await RedisServer.start();
    });
    beforeEach(() => server!.cli('FLUSHALL'));
    afterAll(() => server?.stop());
    const storage = () => onUrls([server!.url]);
    tests(withServices(storage), { name: 'Redis', storage, redis: () => server });
  });
}

/** Runs a describe block on either backend. */
export function onBothBackends(name: string, tests: (start: Start, backend: TestBackend) => void): void {
  onEmbedded(name, tests);
  onRedis(name, tests);
}
