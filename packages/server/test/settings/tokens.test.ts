import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { openTokenFile } from '../../src/settings/tokens.ts';
import { mistakesOf, settle, yaml } from './written.ts';

const folder = mkdtempSync(join(tmpdir(), 'sluice-tokens-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const [one, two, three] = ['1111111111111111', '2222222222222222', '3333333333333333=='] as const;
const open = openTokenFile;

function file(name: string, content: string, mode = 0o600): string {
  writeFileSync(join(folder, name), content);
  chmodSync(join(folder, name), mode);
  return name;
}

describe('tokens', () => {
  it('are those that are given and those of all files, each once', () => {
    const files = [file('a', `# of today\n${one}\n\n  ${two}\r\n`), file('b', three)];
    const env = { SLUICE_CHECK_TOKEN: `${one},${two}`, SLUICE_ADMIN_TOKEN: 'aaaaaaaaaaaaaaaa' };
    const { settings, warnings } = settle({ flags: { checkTokenFile: files }, env, folder, open });
    expect(settings).toMatchObject({ checkTokens: [one, two, three], adminTokens: ['aaaaaaaaaaaaaaaa'] });
    expect(warnings).toEqual([]);
  });

  it('on a command line are warned of, since everybody sees it', () => {
    const see = 'everybody on this machine sees the command line, and so the token, in ps';
    expect(settle({ flags: { adminToken: [one], checkToken: [two] } }).warnings).toEqual([
      `--admin-token: ${see}. Use --admin-token-file instead.`,
      `--check-token: ${see}. Use --check-token-file instead.`,
    ]);
    expect(settle({ env: { SLUICE_ADMIN_TOKEN: one } }).warnings).toEqual([]);
    expect(settle({ file: yaml(`admin_token: '${one}'`) }).warnings).toEqual([]);
  });

  it('of a file that everybody may read are warned of', () => {
    const flags = { adminTokenFile: [file('open', one, 0o644)] };
    const path = join(folder, 'open');
    expect(settle({ flags, folder, open }).warnings).toEqual([
      `${path}: everybody on this machine may read these tokens. Run 'chmod 600 ${path}'.`,
    ]);
    file('open', one, 0o640);
    expect(settle({ flags, folder, open }).warnings).toEqual([]);
  });

  it('that are of both scopes are warned of', () => {
    expect(settle({ env: { SLUICE_ADMIN_TOKEN: one, SLUICE_CHECK_TOKEN: `${two},${one}` } }).warnings).toEqual([
      'One token is given for both scopes: whoever may ask for decisions may administer. Make two.',
    ]);
  });

  it('that anybody could guess, or nobody could send, are refused by file and line, and not shown', () => {
    const flags = { adminTokenFile: [file('wrong', `${one}\nhunter2\n${two} ${two}\n`)] };
    const path = join(folder, 'wrong');
    expect(mistakesOf({ flags, folder, open })).toEqual([
      `${path}:2: a token has at least 16 characters, so that nobody can guess it; this one has 7. Make one with 'openssl rand -hex 24'.`,
      `${path}:3: a token is of A-Z a-z 0-9 . _ ~ + / - only, with = at its end; this one has other characters. Make one with 'openssl rand -hex 24'.`,
    ]);
  });

  it('are not left out silently where their file has none, or is none', () => {
    const flags = { adminTokenFile: [file('empty', '\n# none yet\n')], checkTokenFile: ['missing'] };
    expect(mistakesOf({ flags, folder, open })).toEqual([
      `${join(folder, 'empty')}: holds no token. Write one into it, on a line of its own. Make one with 'openssl rand -hex 24'.`,
      `--check-token-file: ${join(folder, 'missing')} cannot be read (ENOENT). Give the path of a file of tokens.`,
    ]);
  });
});
