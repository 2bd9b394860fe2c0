import { type Clock, type Logger, MemoryStore, type SyncStore } from '@sluice/core';
import { parseDuration } from '@sluice/core/toolkit';
import { FileAnalytics } from '../analytics/file-analytics.js';
import { isConfigurationRecord } from '../configuration/file-record.js';
import { FileConfigurationStore } from '../configuration/file-store.js';
import type { Settings } from '../settings/settings.js';
import { DataDirectory } from '../storage/data-directory.js';
import { Journal } from '../storage/journal.js';
import { Snapshots } from '../storage/snapshots.js';
import { readWhole, saveWhole } from '../storage/whole-file.js';
import { FileUserDirectory } from '../users/file-user-directory.js';
import { SeenFile } from '../users/seen-file.js';
import { isUserRecord } from '../users/user-journal.js';
import { type Backend, closeAll } from './backend.js';

/**
 * Keeps everything in the files of a directory, which this process has to itself.
 * @throws SluiceError for a directory that another process has, and for files that are damaged, which are left alone.
 */
export async function openEmbedded(
  path: string,
  settings: Pick<Settings, 'maxKeys' | 'maxUsers' | 'userTtl'>,
  clock: Clock,
  logger: Logger,
): Promise<Backend> {
  const opened: (() => unknown)[] = [];
  try {
    let onLost: (error: Error) => void = () => {};
    const lost = new Promise<Error>((resolve) => {
      onLost = resolve;
    });
    const directory = await DataDirectory.open(path, { onLost });
    opened.unshift(() => directory.close());
    const rules = await Journal.open(directory.file('rules.journal'), {
      kind: 'rules',
      isRecord: isConfigurationRecord,
    });
    opened.unshift(() => rules.close());
    const owners = await Journal.open(directory.file('users.journal'), { kind: 'users', isRecord: isUserRecord });
    opened.unshift(() => owners.close());
    for (const { torn } of [rules, owners]) {
      if (torn !== undefined) logger.warn(`a write that a crash cut short was never acknowledged; it is in ${torn}`);
    }
    const store = new MemoryStore({ maxKeys: settings.maxKeys, clock });
    opened.unshift(() => store.close());
    const snapshots = Snapshots.open({ store, file: directory.file('counts.snapshot'), clock, logger });
    opened.unshift(() => snapshots.close());
    const configuration = new FileConfigurationStore(rules, { clock, logger });
    opened.unshift(() => configuration.close());
    const ttl = parseDuration(settings.userTtl, 'userTtl');
    const users = new FileUserDirectory({ journal: owners, ttl, maxUsers: settings.maxUsers, clock, logger });
    opened.unshift(() => users.close());
    const seen = await SeenFile.open(directory.file('users.seen'), users, { clock, logger });
    opened.unshift(() => seen.close());
    const file = directory.file('analytics');
    const analytics = await FileAnalytics.open({
      file: { path: file, read: () => readWhole(file), save: (chunks) => saveWhole(file, chunks) },
      clock,
      logger,
    });
    opened.unshift(() => analytics.close());
    return {
      store: store satisfies SyncStore,
      configuration,
      users,
      analytics,
      breakers: () => [],
      keys: () => store.size,
      evictions: () => store.evictions,
      trouble: () => (snapshots.failures > 0 ? `Counts cannot be saved in ${directory.path}: see the log.` : undefined),
      lost,
      close: () => closeAll(opened),
    };
  } catch (error) {
    await closeAll(opened).catch(() => {});
    throw error;
  }
}
