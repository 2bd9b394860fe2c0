import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { ConfigFile, readConfigFile } from '../../src/settings/config-file.ts';
import { mistakesOf, settle, yaml } from './written.ts';

const folder = mkdtempSync(join(tmpdir(), 'sluice-config-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A file of these bytes, and its path. */
function file(name: string, content: string | Uint8Array, mode = 0o600): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  chmodSync(path, mode);
  return path;
}

describe('a configuration file', () => {
  it('knows line and column of everything in it', () => {
    const text = 'port: 1\nrules:\n  - id: a\n    limit: 5\n  - { id: b, lists: { allow: [x, y] } }\n';
    const places = (...path: (string | number)[]) => yaml(text).placeOf(path).text;
    expect(places('port')).toBe('sluice.yaml:1:1 port');
    expect(places('rules', 0, 'limit')).toBe('sluice.yaml:4:5 rules[0].limit');
    expect(places('rules', 1, 'lists', 'allow', 1)).toBe('sluice.yaml:5:34 rules[1].lists.allow[1]');
    expect(places('rules', 1)).toBe('sluice.yaml:5:5 rules[1]');
    // What is missing is missing from what is there.
    expect(places('rules', 0, 'window')).toBe('sluice.yaml:3:5 rules[0].window');
  });

  it.each<[string, string]>([
    ['port: 8\nport: 9', 'sluice.yaml:2:1: Map keys must be unique'],
    ['port: !env PORT', 'sluice.yaml:1:7: Unresolved tag'],
    [
      'port: 8\n---\nport: 9',
      'sluice.yaml:2:1: Source contains multiple documents; please use YAML.parseAllDocuments()',
    ],
    ['- port', "sluice.yaml:1:1: must be a map of settings, like 'port: 8080'."],
    ['8080', "sluice.yaml:1:1: must be a map of settings, like 'port: 8080'."],
    ['', "sluice.yaml: holds no settings. Write at least one, like 'port: 8080', or leave out --config."],
    ['# port: 8080\n', "sluice.yaml: holds no settings. Write at least one, like 'port: 8080', or leave out --config."],
    ['port:', 'sluice.yaml:1:1 port: is empty. Give a value, or leave it out.'],
    ['port: [1, 2]', 'sluice.yaml:1:1 port: must be a single value, not a list or a map.'],
    ['port: { a: 1 }', 'sluice.yaml:1:1 port: must be a single value, not a list or a map.'],
    ['body_limit: [65536]', 'sluice.yaml:1:1 body_limit: must be a single value, not a list or a map.'],
    ['redis: []\ninstances: 1', 'sluice.yaml:1:1 redis: is an empty list. Give a value, or leave it out.'],
    ['port: 1e400', 'sluice.yaml:1:1 port: must be an integer from 0 to 65535; got Infinity.'],
    ['port: true', 'sluice.yaml:1:1 port: must be an integer from 0 to 65535; got true.'],
    ['data_dir: 2024', 'sluice.yaml:1:1 data_dir: must be text; got 2024. In YAML, put it into quotes.'],
    ['port: 1\ndata-dir: x', 'sluice.yaml:2:1 data-dir: there is no such setting. Did you mean "data_dir"?'],
    [
      'config: x',
      expect.stringMatching(/^sluice\.yaml:1:1 config: there is no such setting\. Known are host, .*lists\.$/),
    ],
    ['__proto__: { port: 1 }', expect.stringMatching(/^sluice\.yaml:1:1 __proto__: there is no such setting\./)],
    ['lists: [a]', "sluice.yaml:1:1 lists: must be a map with 'allow', 'block' or both; got an array of 1."],
    ['lists: { blok: [a] }', 'sluice.yaml:1:10 lists.blok: there is no such list. Did you mean "block"?'],
    [
      'lists: { block: 10.0.0.1 }',
      `sluice.yaml:1:10 lists.block: must be a list, like ['203.0.113.0/24', 'user:42']; got "10.0.0.1".`,
    ],
    [
      'lists:\n  block: [10.0.0.1, 10.0.0.0/33]',
      'sluice.yaml:2:21 lists.block[1]: "10.0.0.0/33" is no network: behind the slash belongs a number of bits from 0 to 32.',
    ],
    [
      'lists:\n  allow:\n    - 12.5',
      'sluice.yaml:3:7 lists.allow[0]: must be text; got 12.5. In YAML, put it into quotes.',
    ],
  ])('%j is refused at its place', (text, line) => {
    let lines: readonly string[];
    try {
      lines = mistakesOf({ file: yaml(text) });
    } catch (error) {
      lines = [(error as Error).message];
    }
    expect(lines).toEqual([line]);
  });

  it('is refused with every mistake of its rules, each at its place', () => {
    const text = [
      'rules:',
      '  - id: login',
      '    endpoint: /login',
      '    limit: 5',
      '    window: 1 minute',
      '  - { id: login2, endpoint: /x, limit: 1, window: 1m, brust: 3 }',
      '  - id: y',
      '    endpoint: /y',
      '    limit: 1',
    ].join('\n');
    expect(mistakesOf({ file: yaml(text) }).map((line) => line.replace(/: .*$/, ''))).toEqual([
      'sluice.yaml:5:5 rules[0].window',
      'sluice.yaml:6:55 rules[1].brust',
      'sluice.yaml:7:5 rules[2].window',
    ]);
    expect(mistakesOf({ file: yaml('port: 1\nrules: { a: 1 }') })).toEqual([
      'sluice.yaml:2:1 rules: It must be a list of rules.',
    ]);
  });

  it('does not show what stands where the YAML is wrong, which may be a secret', () => {
    expect(() => yaml('admin_token: "a" hunter2hunter2')).toThrow(/^sluice\.yaml:1:18: Unexpected scalar at node end$/);
    for (const text of ['a: *hunter2', 'hunter2', '- hunter2', 'a: "hunter2', 'a: !hunter2 x', '"hunter2" "b"']) {
      let message = '';
      try {
        new ConfigFile('sluice.yaml', text);
      } catch (error) {
        message = (error as Error).message;
      }
      expect(message).toMatch(/^sluice\.yaml:1:\d+: /);
      expect(message).not.toContain('hunter2');
    }
  });

  it('may use anchors, but not so many that they fill the memory', () => {
    const rules =
      'rules:\n  - &a { id: a, endpoint: /a, limit: 1, window: &w 1m }\n  - { id: b, endpoint: /b, limit: 1, window: *w }';
    expect(settle({ file: yaml(rules) }).settings.rules).toHaveLength(2);
    const bomb = [
      'a: &a [x, x, x, x, x, x, x, x, x, x]',
      ...'bcdefgh'.split('').map((name, i) => {
        const before = 'abcdefg'[i];
        return `${name}: &${name} [${Array(10).fill(`*${before}`).join(', ')}]`;
      }),
    ].join('\n');
    expect(() => yaml(bomb)).toThrow(/^sluice\.yaml: Excessive alias count/);
  });

  it('is read with its byte order mark, and with the line ends of Windows', () => {
    const path = file('windows.yaml', '\ufeffport: 1\r\nhost: localhost\r\n');
    expect(settle({ file: readConfigFile(path) }).settings).toMatchObject({ port: 1, host: 'localhost' });
  });

  it('that cannot be read is named', () => {
    expect(() => readConfigFile(join(folder, 'none.yaml'), 'none.yaml')).toThrow(
      'none.yaml: cannot be read (ENOENT). Give the path of a file.',
    );
    expect(() => readConfigFile(folder, 'folder')).toThrow('folder: cannot be read (EISDIR). Give the path of a file.');
    expect(() => readConfigFile(file('bytes.yaml', new Uint8Array([0xff])), 'bytes.yaml')).toThrow(
      'bytes.yaml: is not in UTF-8. Save it in that encoding.',
    );
  });

  it('that everybody may read is warned of where it holds secrets', () => {
    const warning = (name: string) =>
      `${name}: everybody on this machine may read the secrets in it. Run 'chmod 600 ${name}'.`;
    const token = 'admin_token: 0123456789abcdef\n';
    const password = 'redis: redis://:pass@10.0.0.1\ninstances: 1\n';
    const none = 'redis: redis://10.0.0.1\ninstances: 1\n';
    const warnings = (text: string, mode: number) =>
      settle({ file: readConfigFile(file('open.yaml', text, mode), 'open.yaml') }).warnings;
    expect(warnings(token, 0o644)).toEqual([warning('open.yaml')]);
    expect(warnings(password, 0o644)).toEqual([warning('open.yaml')]);
    expect(warnings(none, 0o644)).toEqual([]);
    expect(warnings(token, 0o640)).toEqual([]);
  });
});
