import { resolve } from 'node:path';
import { messageOf } from '@sluice/core/toolkit';
import type { Service } from '../service.js';
import { readConfigFile } from '../settings/config-file.js';
import { SettingsError } from '../settings/mistakes.js';
import { flagOf } from '../settings/options.js';
import { visibleUrl } from '../settings/readers.js';
import type { Settings, StorageSettings } from '../settings/settings.js';
import { type Loaded, settingsOf } from '../settings/settings-of.js';
import { configVariable, type Sources } from '../settings/sources.js';
import { done, failed, say, wrongUsage } from './outcome.js';
import { stopSignal } from './stop-signal.js';

/** Starts the service; resolves when it listens. */
export type StartService = (
  settings: Settings,
) => Promise<Pick<Service, 'url' | 'close'> & Partial<Pick<Service, 'lost'>>>;

/** What stands behind the flags of the command. */
export type Flags = NonNullable<Sources['flags']> & { readonly config?: readonly string[] };

/** Runs the service until a signal ends it, and tells the exit code. */
export async function serve(flags: Flags, start: StartService): Promise<number> {
  let loaded: Loaded;
  try {
    loaded = load(flags, process.env);
  } catch (error) {
    if (!(error instanceof SettingsError)) throw error;
    for (const line of error.lines) say(line);
    return wrongUsage;
  }
  const { settings, warnings } = loaded;
  for (const warning of warnings) say(`warning: ${warning}`);

  const stop = stopSignal(process);
  // A service that waits without a handle of its own must not end the process, which would look like success.
  const alive = setInterval(() => {}, 60_000);
  try {
    const service = await start(settings);
    process.stdout.write(`sluice: listening on ${service.url} (${storageText(settings.storage)})\n`);
    const lost = await Promise.race([stop, ...(service.lost === undefined ? [] : [service.lost])]);
    await service.close();
    if (lost === undefined) return done;
    throw lost;
  } catch (error) {
    say(reasonOf(error, settings));
    if (settings.logLevel === 'debug' && error instanceof Error) say(`${error.stack}`);
    return failed;
  } finally {
    clearInterval(alive);
  }
}

function load({ config, ...flags }: Flags, env: NodeJS.ProcessEnv): Loaded {
  if (config !== undefined && config.length > 1)
    throw new SettingsError(['--config: is given twice. Leave out one of them.']);
  const name = config?.[0] ?? env[configVariable];
  if (name === '') {
    const place = config === undefined ? configVariable : flagOf('config');
    throw new SettingsError([`${place}: is empty. Give the path of a file, or leave it out.`]);
  }
  // A package manager that runs this command may have changed the folder.
  const folder = resolve(env.INIT_CWD ?? '.');
  const file = name === undefined ? undefined : readConfigFile(resolve(folder, name), name);
  return settingsOf({ flags, env, file, folder });
}

/** Where the data is, without passwords. */
function storageText(storage: StorageSettings): string {
  if (storage.kind === 'embedded') return `embedded, data in ${storage.dataDir}`;
  const { urls, sentinel } = storage;
  const servers = urls.map(visibleUrl).join(', ');
  if (sentinel !== undefined) return `Redis, master ${sentinel} of the sentinels ${servers}`;
  return urls.length === 1 ? `Redis at ${servers}` : `Redis cluster at ${servers}`;
}

/** What went wrong, for those who run the service. */
function reasonOf(error: unknown, { host, port }: Settings): string {
  const { code, syscall } = (error ?? {}) as NodeJS.ErrnoException;
  if (code === 'EADDRINUSE') {
    return `something else listens on ${host} port ${port} (${code}). End it, or choose another port with --port.`;
  }
  if (code === 'EACCES' && syscall === 'listen') {
    return `port ${port} is not for everybody to listen on (${code}). Choose one from 1024 with --port.`;
  }
  if (code === 'EADDRNOTAVAIL' || (code === 'ENOTFOUND' && (error as { hostname?: string }).hostname === host)) {
    return `${host} is no address of this machine (${code}). Choose one with --host, such as 127.0.0.1 or 0.0.0.0.`;
  }
  return messageOf(error).replace(/\s*\n\s*/g, ' ');
}
