import type { AddressInfo } from 'node:net';
import { type Clock, systemClock } from '@sluice/core';
import type { Logger as Pino } from 'pino';
import type { Backend } from './backend/backend.js';
import { openEmbedded } from './backend/embedded.js';
import { openRedis } from './backend/redis.js';
import { LiveConfiguration } from './configuration/live.js';
import { LiveRules } from './configuration/live-rules.js';
import { Decider } from './decisions/decider.js';
import { Access } from './http/access.js';
import { createApp } from './http/app.js';
import { Connections } from './http/connections.js';
import { createLog, loggerOf, quietLoggerOf } from './log.js';
import { Metrics } from './metrics.js';
import type { Settings } from './settings/settings.js';
import { usualSettings } from './settings/settings-of.js';

/** A Service that listens. */
export interface Service {
  /** Where, like `http://127.0.0.1:8080`. */
  readonly url: string;
  /** Resolves, with the reason, when the service cannot go on; its owner then closes it. */
  readonly lost: Promise<Error>;
  /** Finishes what is in flight, saves what is to be saved, and stops. */
  close(): Promise<void>;
}

/**
 * Starts the service; resolves when it listens. What is not given is as for the command: by default the service listens
 * on 127.0.0.1, port 8080, and keeps its data in `./.sluice`.
 * @throws SluiceError for storage that cannot be used, with the remedy; what the operating system says of the port.
 */
export async function startService(given: Partial<Settings> = {}, clock: Clock = systemClock): Promise<Service> {
  const settings = { ...usualSettings(), ...given };
  const log = createLog(settings.logLevel);
  const logger = loggerOf(log);
  const { storage } = settings;
  const backend =
    storage.kind === 'embedded'
      ? await openEmbedded(storage.dataDir, settings, clock, logger)
      : await openRedis(storage, settings, clock, logger);
  try {
    return await serve(settings, backend, log, clock);
  } catch (error) {
    await backend.close().catch(() => {});
    throw error;
  }
}

async function serve(settings: Settings, backend: Backend, log: Pino, clock: Clock): Promise<Service> {
  const logger = loggerOf(log);
  const { users, analytics } = backend;
  let isClosing = false;
  let live: LiveConfiguration | undefined;
  const metrics = new Metrics({
    breakers: () => backend.breakers(),
    keys: () => backend.keys(),
    evictions: () => backend.evictions(),
    users: () => users.size,
    configuration: () => live?.status ?? { version: 0, reloads: 0, failures: 0, stale: undefined },
  });
  const decider = new Decider({
    store: backend.store,
    users,
    defaults: settings.defaults,
    rules: settings.rules,
    lists: settings.lists,
    headers: settings.headers,
    clock,
    logger: quietLoggerOf(log),
    observe: (observation) => {
      metrics.decided(observation);
      analytics.count(observation);
    },
    observeStore: (ms, failed) => metrics.storeTook(ms / 1_000, failed),
  });
  live = await LiveConfiguration.start(backend.configuration, {
    apply: (configuration) => {
      decider.apply(configuration);
      metrics.keep(new Set([...settings.rules.map(({ id }) => id), ...configuration.rules.keys()]));
    },
    logger,
    clock,
  });
  await decider.warmUp();
  const rules = new LiveRules(live, backend.configuration, decider);
  const access = new Access({ admin: settings.adminTokens, check: settings.checkTokens });
  const status = live;
  // None of it is a reason to send requests elsewhere: other instances are no better off.
  const notes = () => [status.status.stale?.message, backend.trouble()].filter((note) => note !== undefined);
  const parts = { settings, access, decider, rules, users, analytics, metrics, clock, notes };
  const app = await createApp({ ...parts, isClosing: () => isClosing }, log);
  const connections = new Connections(app.server);
  await app.listen({ host: settings.host, port: settings.port });
  return {
    url: urlOf(app.server.address()),
    lost: backend.lost,
    async close() {
      isClosing = true;
      connections.drain();
      await app.close();
      await live?.close();
      await backend.close();
    },
  };
}

function urlOf(address: string | AddressInfo | null): string {
  if (typeof address !== 'object' || address === null)
    throw new Error(`The service listens at ${address}, which is no address.`);
  const host = address.family === 'IPv6' ? `[${address.address}]` : address.address;
  return `http://${host}:${address.port}`;
}
