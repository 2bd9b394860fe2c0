import { describe, expect, it } from 'vitest';
import { optionNames } from '../../src/settings/options.ts';
import { asFile, asFlags, asVariables, mistakesOf, type Texts, yaml } from './written.ts';

const makeOne = "Make one with 'openssl rand -hex 24'.";
const kubernetes =
  "is what Kubernetes sets for a service called 'sluice', and no setting. Put 'enableServiceLinks: false' into the " +
  'specification of the pod, or give that service another name.';

describe('a mistake in the settings', () => {
  it.each<[Texts, string]>([
    [{ port: '80a' }, '--port: must be an integer from 0 to 65535; got "80a".'],
    [{ port: '65536' }, '--port: must be an integer from 0 to 65535; got "65536".'],
    [{ port: '-1' }, '--port: must be an integer from 0 to 65535; got "-1".'],
    [{ port: '0x50' }, '--port: must be an integer from 0 to 65535; got "0x50".'],
    [{ port: '' }, '--port: is empty. Give a value, or leave it out.'],
    [{ redis: 'redis://a,', instances: '1' }, '--redis: is empty. Give a value, or leave it out.'],
    [
      { host: 'http://127.0.0.1' },
      '--host: must be an address or a host name, like 127.0.0.1, 0.0.0.0, :: or localhost, without scheme, brackets ' +
        'and port; got "http://127.0.0.1".',
    ],
    [
      { userTtl: '30' },
      `--user-ttl: needs a unit, like '500ms', '10s', '1m', '1h' or '30d', from 1ms to 366d; got "30".`,
    ],
    [
      { userTtl: '2 weeks' },
      `--user-ttl: must be a duration like '500ms', '10s', '1m', '1h' or '30d', from 1ms to 366d; got "2 weeks".`,
    ],
    [
      { bodyLimit: '1mb' },
      '--body-limit: must be a size like 1MiB, 512KiB or 65536 (bytes), from 1024 to 1073741824 bytes; got "1mb". The ' +
        'units are B, kB, KiB, MB and MiB.',
    ],
    [{ logLevel: 'trace' }, '--log-level: must be one of silent, error, warn, info, debug; got "trace".'],
    [
      { headers: 'draft-7,draft-8' },
      '--headers: draft-7 and draft-8 write the same fields. Choose one; legacy goes with any.',
    ],
    [{ headers: 'legacy,off' }, '--headers: is off, and legacy as well. Leave out one of the two.'],
    [{ headers: 'legacy,legacy' }, '--headers: names a style twice. Leave out one.'],
    [{ adminLimit: '600' }, `--admin-limit: a policy in short form reads '100/1m' or '100/1m burst 20'; got "600".`],
    [
      { prefix: 'a{b}', redis: 'redis://a', instances: '1' },
      '--prefix: must be 1 to 64 characters of A-Z a-z 0-9 . _ : @ / -; got "a{b}".',
    ],
    [{ limit: '5' }, '--limit: needs --window as well.'],
    [{ burst: '5', limit: '9' }, '--limit: needs --window as well.'],
    [{ burst: '5' }, '--burst: needs --limit as well.'],
    [{ maxTokens: '5' }, '--max-tokens: needs --refill-rate as well.'],
    [{ leakRate: '5' }, '--leak-rate: needs --capacity as well.'],
    [
      { refillRate: '1e3', maxTokens: '1' },
      '--refill-rate: must be a number of units per second above 0, like 2 or 0.5, with six decimals and 15 digits at ' +
        'the most; got "1e3".',
    ],
    [
      { maxTokens: '10', refillRate: '2', limit: '5', window: '1m' },
      '--max-tokens: says in other words what --limit says. Leave out one of the two.',
    ],
    [
      { maxTokens: '10', refillRate: '2', capacity: '10', leakRate: '2' },
      '--capacity: says in other words what --max-tokens says. Leave out one of the two.',
    ],
    [
      { maxTokens: '10', refillRate: '2', algorithm: 'leaky-bucket' },
      '--algorithm: is leaky-bucket, and --max-tokens is of a token-bucket. Leave out one of the two.',
    ],
    [
      { limit: '10', window: '1m', burst: '2', algorithm: 'fixed-window' },
      `--burst: 'burst' applies to 'token-bucket' and 'leaky-bucket' only, not to "fixed-window". Leave it out, or ` +
        'choose one of the two.',
    ],
    [
      { redis: 'redis://a' },
      '--redis: needs --instances: how many instances of the service share the limits, at the most. While Redis fails, ' +
        'each grants its share of every limit; 1 is only right for a single instance.',
    ],
    [{ instances: '2' }, '--instances: is about Redis, which is not given. Add --redis, or leave this out.'],
    [{ prefix: 'a' }, '--prefix: is about Redis, which is not given. Add --redis, or leave this out.'],
    [{ deadline: '1s' }, '--deadline: is about Redis, which is not given. Add --redis, or leave this out.'],
    [{ denyCache: 'on' }, '--deny-cache: is about Redis, which is not given. Add --redis, or leave this out.'],
    [{ leases: 'off' }, '--leases: is about Redis, which is not given. Add --redis, or leave this out.'],
    [{ denyCache: 'yes', redis: 'redis://a', instances: '1' }, '--deny-cache: must be on or off; got "yes".'],
    [{ leases: '0.1', redis: 'redis://a', instances: '1' }, '--leases: must be on or off; got "0.1".'],
    [
      { deadline: '61s', redis: 'redis://a', instances: '1' },
      `--deadline: must be a duration like '50ms' or '1s', from 1ms to 1m; got "61s".`,
    ],
    [
      { deadline: '50', redis: 'redis://a', instances: '1' },
      `--deadline: needs a unit, like '50ms' or '1s', from 1ms to 1m; got "50".`,
    ],
    [{ redisSentinel: 'a' }, '--redis-sentinel: is about Redis, which is not given. Add --redis, or leave this out.'],
    [
      { redis: 'redis://a', instances: '1', dataDir: 'x' },
      '--data-dir: is not for a service that keeps its data in Redis (--redis). Leave out one of the two.',
    ],
    [
      { redis: 'redis://a,redis://b/1', instances: '1' },
      '--redis: names a database, and a cluster, which several addresses make, has none but 0. Leave the number out, or ' +
        'give one address.',
    ],
    [
      { checkToken: 'secret' },
      `--check-token: a token has at least 16 characters, so that nobody can guess it; this one has 6. ${makeOne}`,
    ],
    [
      { checkToken: 'secret secret secret' },
      `--check-token: a token is of A-Z a-z 0-9 . _ ~ + / - only, with = at its end; this one has other characters. ${makeOne}`,
    ],
  ])('of %j is told with its remedy', (texts, line) => {
    expect(mistakesOf({ flags: asFlags(texts) })).toEqual([line]);
  });

  it('is told in the words of where it was made', () => {
    expect(mistakesOf({ flags: asFlags({ limit: '5' }) })).toEqual(['--limit: needs --window as well.']);
    expect(mistakesOf({ env: asVariables({ limit: '5' }) })).toEqual(['SLUICE_LIMIT: needs SLUICE_WINDOW as well.']);
    expect(mistakesOf({ file: asFile({ limit: '5' }) })).toEqual(['sluice.yaml:1:1 limit: needs window as well.']);
    const both = { env: asVariables({ redis: 'redis://a', instances: '1' }), file: yaml('port: 1\ndata_dir: x') };
    expect(mistakesOf(both)).toEqual([
      'sluice.yaml:2:1 data_dir: is not for a service that keeps its data in Redis (SLUICE_REDIS). Leave out one of the two.',
    ]);
  });

  it('is a flag that is given twice, where it is no list', () => {
    expect(mistakesOf({ flags: { port: ['1', '2'] } })).toEqual(['--port: is given twice. Leave out one of them.']);
  });

  it('is an empty value, whatever the option', () => {
    for (const name of optionNames) {
      expect(mistakesOf({ flags: { [name]: [''] } })).toContainEqual(expect.stringContaining(': is empty.'));
      expect(mistakesOf({ env: asVariables({ [name]: '' }) })).toContainEqual(expect.stringContaining(': is empty.'));
      expect(mistakesOf({ file: asFile({ [name]: '' }) })).toContainEqual(expect.stringContaining(': is empty.'));
    }
  });

  it.each([
    ['SLUICE_PROT', 'Did you mean "SLUICE_PORT"?'],
    ['SLUICE_ADMIN_TOKENS', 'Did you mean "SLUICE_ADMIN_TOKEN"?'],
    ['SLUICE_REDIS_URL', 'Did you mean "SLUICE_REDIS"?'],
  ])('is the variable %s, which nobody reads', (name, remedy) => {
    expect(mistakesOf({ env: { [name]: '1' } })).toEqual([`${name}: there is no such variable. ${remedy}`]);
  });

  it('is a variable without a like, and all that there are are told', () => {
    const [line] = mistakesOf({ env: { SLUICE_SOMETHING_ELSE_ENTIRELY: '1' } });
    expect(line).toMatch(
      /^SLUICE_SOMETHING_ELSE_ENTIRELY: there is no such variable\. Known are SLUICE_HOST, .*SLUICE_CONFIG\.$/,
    );
  });

  it('is told apart where Kubernetes sets variables of the same beginning', () => {
    const env = {
      SLUICE_SERVICE_HOST: '10.0.0.1',
      SLUICE_PORT: 'tcp://10.0.0.1:80',
      SLUICE_PORT_80_TCP_ADDR: '10.0.0.1',
    };
    expect(mistakesOf({ env })).toEqual(Object.keys(env).map((name) => `${name}: ${kubernetes}`));
  });

  it('does not hide others, and those of a file are told in its order', () => {
    const file = yaml('log_level: loud\nport: no\nhosts: x\nrules: []\nlimit: 5');
    expect(mistakesOf({ file, env: { SLUICE_HOST: 'a b' } }).map((line) => line.split(':', 3).join(':'))).toEqual([
      expect.stringMatching(/^SLUICE_HOST: must be an address/),
      'sluice.yaml:1:1 log_level',
      'sluice.yaml:2:1 port',
      'sluice.yaml:3:1 hosts',
      'sluice.yaml:5:1 limit',
    ]);
  });

  it('never shows a token, nor the password of a Redis', () => {
    const secret = 'hunter2hunter2hunter2';
    const wrong: readonly [keyof Texts, string][] = [
      ['adminToken', `${secret}!`],
      ['checkToken', `${secret} x`],
      ['redis', `http://:${secret}@10.0.0.1`],
      ['redis', `${secret}`],
      ['redis', `${secret}:x`],
      ['redis', `redis://:${secret}@10.0.0.1/a`],
      ['redis', `redis://:${secret}@10.0.0.1/?x`],
      ['redis', `redis://:${secret}@`],
      ['redis', `redis://:${secret}@a,redis://:${secret}@b/7`],
    ];
    for (const [name, text] of wrong) {
      const texts: Texts = { [name]: text, ...(name === 'redis' && { instances: '1' }) };
      for (const written of [{ flags: asFlags(texts) }, { env: asVariables(texts) }, { file: asFile(texts) }]) {
        const lines = mistakesOf(written);
        expect(lines, text).not.toEqual([]);
        expect(lines.join('\n')).not.toContain(secret);
      }
    }
    expect(mistakesOf({ file: yaml('admin_token: 1234567890123456789012') })).toEqual([
      'sluice.yaml:1:1 admin_token: a token is text. In YAML, put it into quotes.',
    ]);
  });
});
