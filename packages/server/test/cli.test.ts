import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { flagOf, optionNames, variableOf } from '../src/settings/options.ts';
import { folder, sluice } from './commands/running.ts';

describe('sluice --help', () => {
  it('tells of every option its flag, its variable and its group', async () => {
    const { code, stdout, stderr } = await sluice(['--help']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const text = stdout.replace(/\s+/g, ' ');
    for (const name of optionNames) {
      expect(text).toMatch(new RegExp(` ${flagOf(name)} <[\\w/|-]+> [^[]*\\[${variableOf(name)}\\]`));
    }
    expect(text).toContain('--config <file> settings, rules and lists in YAML [SLUICE_CONFIG]');
    for (const group of ['Listening:', 'Users:', 'Examples:', 'Commands:']) expect(stdout).toContain(`\n${group}\n`);
    expect(stdout.startsWith('Usage: sluice serve [options]\n       sluice check-config <file>\n')).toBe(true);
  });

  it('shows a file that is valid', async () => {
    const { stdout } = await sluice(['--help']);
    const [, example] = /as the API takes them:\n\n((?: {2}.*\n)+)/.exec(stdout)!;
    writeFileSync(join(folder, 'help.yaml'), example!.replace(/^ {2}/gm, ''));
    expect(await sluice(['check-config', 'help.yaml'])).toEqual({
      code: 0,
      stdout: 'help.yaml is valid: 1 rule, 1 allowed, 2 blocked\n',
      stderr: '',
    });
  });

  it('is what the service has for help, too', async () => {
    const [all, own] = await Promise.all([sluice(['--help']), sluice(['serve', '--help'])]);
    const options = (text: string) => text.slice(text.indexOf('Listening:'), text.indexOf('Configuration file:'));
    expect(own.code).toBe(0);
    expect(options(own.stdout)).toBe(options(all.stdout));
  });
});

describe('sluice check-config', () => {
  it('says that a file is valid, and starts and opens nothing', async () => {
    const rule = '{ id: a, endpoint: /a, limit: 1, window: 1m }';
    const text = `port: 0\ndata_dir: not-made\nadmin_token_file: nowhere\nrules: [${rule}]\nlists: { block: [10.0.0.1] }`;
    writeFileSync(join(folder, 'good.yaml'), text);
    expect(await sluice(['check-config', 'good.yaml'])).toEqual({
      code: 0,
      stdout: 'good.yaml is valid: 1 rule, 0 allowed, 1 blocked\n',
      stderr: '',
    });
    expect(readdirSync(folder)).not.toContain('not-made');
  });

  it('tells every mistake by file, line, column and path', async () => {
    const text = 'port: 80800\nrules:\n  - { id: a, endpoint: /a, limit: 1, window: 1 minute }\nlog-level: info\n';
    writeFileSync(join(folder, 'wrong.yaml'), text);
    const { code, stdout, stderr } = await sluice(['check-config', 'wrong.yaml'], { SLUICE_PORT: '1' });
    expect({ code, stderr }).toEqual({ code: 2, stderr: '' });
    expect(stdout.trim().split('\n')).toEqual([
      'wrong.yaml:1:1 port: must be an integer from 0 to 65535; got 80800.',
      expect.stringMatching(/^wrong\.yaml:3:38 rules\[0\]\.window: \S/),
      'wrong.yaml:4:1 log-level: there is no such setting. Did you mean "log_level"?',
    ]);
  });

  it('finds the file from where the package manager was started', async () => {
    writeFileSync(join(folder, 'here.yaml'), 'port: 1');
    const elsewhere = await sluice(['check-config', 'here.yaml'], { INIT_CWD: '/' });
    expect(elsewhere).toMatchObject({
      code: 2,
      stdout: 'here.yaml: cannot be read (ENOENT). Give the path of a file.\n',
    });
    expect(await sluice(['check-config', 'here.yaml'], { INIT_CWD: folder })).toMatchObject({ code: 0 });
  });
});

describe('wrong usage', () => {
  it.each<[readonly string[], string]>([
    [['serve', '--prot', '1'], "sluice: unknown option '--prot' (Did you mean --port?)"],
    [['serve', '--port'], "sluice: option '--port <number>' argument missing"],
    [['serve', 'now'], "sluice: too many arguments for 'serve'. Expected 0 arguments but got 1."],
    [['srve'], "sluice: unknown command 'srve' (Did you mean serve?)"],
    [['--port', '1'], "sluice: --port belongs behind 'serve': sluice serve --port"],
    [['--port=1'], "sluice: --port belongs behind 'serve': sluice serve --port"],
    [['check-config'], "sluice: missing required argument 'file'"],
    [['serve', '--port', '1', '--port', '2'], 'sluice: --port: is given twice. Leave out one of them.'],
    [['serve', '--config', 'a', '--config', 'b'], 'sluice: --config: is given twice. Leave out one of them.'],
    [['serve', '--config', ''], 'sluice: --config: is empty. Give the path of a file, or leave it out.'],
    [['serve', '--config', 'none'], 'sluice: none: cannot be read (ENOENT). Give the path of a file.'],
    [['serve', '--port', 'x'], 'sluice: --port: must be an integer from 0 to 65535; got "x".'],
  ])('%j is told in one line, and ends with 2', async (args, line) => {
    expect(await sluice(args)).toEqual({ code: 2, stdout: '', stderr: `${line}\n` });
  });

  it('shows the help where no command is given', async () => {
    const { code, stdout, stderr } = await sluice([]);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain('Usage: sluice serve');
  });

  it('tells each of several mistakes in a line of its own', async () => {
    const { code, stderr } = await sluice(['serve', '--port', 'x'], { SLUICE_PROT: '1', SLUICE_LOG_LEVEL: 'loud' });
    expect(code).toBe(2);
    expect(stderr.split('\n')).toEqual([
      'sluice: SLUICE_PROT: there is no such variable. Did you mean "SLUICE_PORT"?',
      'sluice: --port: must be an integer from 0 to 65535; got "x".',
      'sluice: SLUICE_LOG_LEVEL: must be one of silent, error, warn, info, debug; got "loud".',
      '',
    ]);
  });
});
