import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { run } from './run.js';

/** Finds a command on the PATH, or installs it with the system's package manager where that is allowed. */
export async function systemCommand(name: string, packageName = name): Promise<string> {
  const present = onPath(name);
  if (present) return present;

  const [manager, ...args] = installer(packageName);
  if (manager === undefined) {
    throw new Error(`The tests need '${name}'. Install it, for instance: sudo apt-get install -y ${packageName}`);
  }
  console.log(`'${name}' is missing; installing it: ${[manager, ...args].join(' ')}`);
  if (manager === 'apt-get') await run('apt-get', ['update']);
  const { code, stderr } = await run(manager, args, { env: { DEBIAN_FRONTEND: 'noninteractive' } });
  const installed = onPath(name);
  if (installed) return installed;
  throw new Error(`'${[manager, ...args].join(' ')}' ended with ${code}; run it by hand.\n${stderr}`);
}

function installer(packageName: string): readonly string[] {
  if (onPath('apt-get') && process.getuid?.() === 0) return ['apt-get', 'install', '-y', packageName];
  if (onPath('brew')) return ['brew', 'install', packageName];
  return [];
}

function onPath(name: string): string | undefined {
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    const path = join(folder, name);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // Not in this folder.
    }
  }
  return undefined;
}
