import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { run } from './run.js';

/** The packages that have a command, where a package is not named like it. */
export interface PackageNames {
  readonly apt?: string;
  readonly brew?: string;
}

/** Finds a command on the PATH, or installs it with the system's package manager where that is allowed. */
export async function systemCommand(name: string, packages: PackageNames = {}): Promise<string> {
  const present = onPath(name);
  if (present) return present;

  const { apt = name, brew = name } = packages;
  const [manager, ...args] = installer(apt, brew);
  if (manager === undefined) {
    throw new Error(`The tests need '${name}'. Install it, for instance: sudo apt-get install -y ${apt}`);
  }
  console.log(`'${name}' is missing; installing it: ${[manager, ...args].join(' ')}`);
  if (manager === 'apt-get') await run('apt-get', ['update']);
  // Debian starts a server when it is installed, but not in this run level.
  const env = { DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' };
  const { code, stderr } = await run(manager, args, { env });
  const installed = onPath(name);
  if (installed) return installed;
  throw new Error(`'${[manager, ...args].join(' ')}' ended with ${code}; run it by hand.\n${stderr}`);
}

function installer(apt: string, brew: string): readonly string[] {
  if (onPath('apt-get') && process.getuid?.() === 0) {
    // Several test files may find at once that it is missing: they wait for one another.
    return ['apt-get', '-o', 'DPkg::Lock::Timeout=120', 'install', '-y', apt];
  }
  if (onPath('brew')) return ['brew', 'install', brew];
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
