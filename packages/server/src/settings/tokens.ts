import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { isReadableByAll } from './config-file.js';
import { type Mistakes, placeOutside } from './mistakes.js';
import { flagOf } from './options.js';
import { howToMakeTokens, refuse, token } from './readers.js';
import type { Given } from './sources.js';

/** The two scopes of bearer tokens. */
export type Scope = 'admin' | 'check';

/** A file of tokens, as it was found. */
export interface TokenFile {
  readonly text: string;
  readonly isOpen: boolean;
}

/** Looks up a file of tokens by its path; `undefined` where files are not to be opened. */
export type OpenTokenFile = (path: string) => TokenFile | undefined;

/** @throws SluiceError for a file that cannot be read. */
export function openTokenFile(path: string): TokenFile {
  try {
    return { text: readFileSync(path, 'utf8'), isOpen: isReadableByAll(path) };
  } catch (error) {
    return refuse(
      `${path} cannot be read (${(error as NodeJS.ErrnoException).code}). Give the path of a file of tokens.`,
    );
  }
}

/** The tokens of a scope, given and in files, each once. No message shows one. */
export function tokensOf(
  scope: Scope,
  { given, folder, open }: { given: Given; folder: string; open: OpenTokenFile },
  mistakes: Mistakes,
  warnings: string[],
): readonly string[] {
  const name = `${scope}Token` as const;
  const tokens = new Set(given.value(name));
  if (given.sourceOf(name) === 'flag') {
    warnings.push(
      `${flagOf(name)}: everybody on this machine sees the command line, and so the token, in ps. ` +
        `Use ${flagOf(`${name}File`)} instead.`,
    );
  }

  const fileName = `${name}File` as const;
  const filePlaces = given.placesOf(fileName);
  for (const [i, file] of (given.value(fileName) ?? []).entries()) {
    const path = resolve(folder, file);
    const found = mistakes.catch(filePlaces[i]!, () => open(path));
    if (found === undefined) continue;
    if (found.isOpen) {
      warnings.push(`${path}: everybody on this machine may read these tokens. Run 'chmod 600 ${path}'.`);
    }
    for (const token of tokensIn(path, found.text, mistakes)) tokens.add(token);
  }
  return [...tokens];
}

/** One per line; empty lines and those that begin with # are none. */
function tokensIn(path: string, text: string, mistakes: Mistakes): readonly string[] {
  const tokens: string[] = [];
  for (const [i, line] of text.split('\n').entries()) {
    const written = line.trim();
    if (written === '' || written.startsWith('#')) continue;
    mistakes.catch(placeOutside(`${path}:${i + 1}`), () => token(written));
    tokens.push(written);
  }
  if (tokens.length === 0)
    mistakes.add(placeOutside(path), `holds no token. Write one into it, on a line of its own. ${howToMakeTokens}`);
  return tokens;
}
