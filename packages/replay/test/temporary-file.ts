import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';

const folder = mkdtempSync(join(tmpdir(), 'sluice-replay-'));
let files = 0;

afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Writes a file that goes when the tests of this file are done. */
export function temporaryFile(content: string | Buffer, name = 'access.log'): string {
  const path = join(folder, `${++files}-${name}`);
  writeFileSync(path, content);
  return path;
}

/** A folder that goes likewise. */
export const temporaryFolder = folder;
