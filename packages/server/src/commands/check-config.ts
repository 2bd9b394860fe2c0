import { resolve } from 'node:path';
import { readConfigFile } from '../settings/config-file.js';
import { SettingsError } from '../settings/mistakes.js';
import { settingsOf } from '../settings/settings-of.js';
import { done, wrongUsage } from './outcome.js';

/**
 * Says whether a service could be started with that file alone, and tells the exit code. Nothing is started, and no
 * file is opened that it names.
 */
export function checkConfig(name: string): number {
  const folder = resolve(process.env.INIT_CWD ?? '.');
  try {
    const file = readConfigFile(resolve(folder, name), name);
    const { rules, lists } = settingsOf({ file, folder, open: () => undefined }).settings;
    const counts = [counted(rules.length, 'rule'), `${lists.allow.length} allowed`, `${lists.block.length} blocked`];
    process.stdout.write(`${name} is valid: ${counts.join(', ')}\n`);
    return done;
  } catch (error) {
    if (!(error instanceof SettingsError)) throw error;
    process.stdout.write(error.lines.map((line) => `${line}\n`).join(''));
    return wrongUsage;
  }
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}
