import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type OptionName, optionNames } from '../../src/settings/options.ts';
import { anyTexts, asFile, asFlags, asVariables, settle, type Texts, yaml } from './written.ts';

/** The texts whose names pass. */
function some(texts: Texts, passes: (name: OptionName) => boolean): Texts {
  return Object.fromEntries(Object.entries(texts).filter(([name]) => passes(name as OptionName)));
}

describe('settings', () => {
  it('are these where nothing is given', () => {
    expect(settle()).toEqual({
      settings: {
        host: '127.0.0.1',
        port: 8080,
        storage: { kind: 'embedded', dataDir: '/srv/app/.sluice' },
        defaults: { algorithm: 'sliding-window-counter', limit: 1000, window: '1h' },
        rules: [],
        lists: { allow: [], block: [] },
        adminTokens: [],
        checkTokens: [],
        headers: 'legacy',
        userTtl: '30d',
        maxUsers: 1_000_000,
        maxKeys: 1_000_000,
        adminLimit: '600/1m',
        checkLimit: false,
        bodyLimit: 1_048_576,
        logLevel: 'info',
      },
      warnings: [],
    });
  });

  it('are the same by flags, by variables, by a file, and by any mixture of them', () => {
    const source = fc.constantFrom('flag', 'variable', 'file');
    fc.assert(
      fc.property(anyTexts, fc.array(source, { minLength: optionNames.length }), (texts, sources) => {
        const by = (wanted: string) => some(texts, (name) => sources[optionNames.indexOf(name)] === wanted);
        const { settings } = settle({ flags: asFlags(texts) });
        expect(settle({ env: asVariables(texts) }).settings).toEqual(settings);
        expect(settle({ file: asFile(texts) }).settings).toEqual(settings);
        const mixture = { flags: asFlags(by('flag')), env: asVariables(by('variable')), file: asFile(by('file')) };
        expect(settle(mixture).settings).toEqual(settings);
      }),
      { numRuns: 500 },
    );
  });

  it('are those of flags before those of variables before those of the file', () => {
    fc.assert(
      fc.property(anyTexts, anyTexts, (texts, others) => {
        const hidden = some(others, (name) => name in texts);
        const { settings } = settle({ flags: asFlags(texts) });
        expect(settle({ flags: asFlags(texts), env: asVariables(hidden) }).settings).toEqual(settings);
        expect(settle({ env: asVariables(texts), file: asFile(hidden) }).settings).toEqual(settings);
        expect(settle({ flags: asFlags(texts), file: asFile(hidden) }).settings).toEqual(settings);
      }),
      { numRuns: 500 },
    );
  });

  it('take a list as a repeated flag, between commas, and as a list of the file', () => {
    const urls = ['redis://10.0.0.1:1', 'redis://10.0.0.2:2', 'redis://10.0.0.3:3'];
    const instances = ['2'];
    const usual = { prefix: 'ratelimit', deadline: '50ms', denyCache: false, leases: false };
    const storage = { kind: 'redis', urls, instances: 2, ...usual };
    const [first, ...rest] = urls;
    for (const written of [
      { flags: { redis: urls, instances } },
      { flags: { redis: [first!, rest.join(', ')], instances } },
      { env: { SLUICE_REDIS: urls.join(), SLUICE_INSTANCES: '2' } },
      { file: yaml(`redis: [${urls.join(', ')}]\ninstances: 2`) },
      { file: yaml(`redis: ${urls.join()}\ninstances: '2'`) },
    ]) {
      expect(settle(written).settings.storage).toEqual(storage);
    }
  });

  it('name the master of sentinels', () => {
    const flags = { redis: ['redis://10.0.0.1:26379/2'], redisSentinel: ['main'], instances: ['1'], prefix: ['api'] };
    expect(settle({ flags }).settings.storage).toEqual({
      kind: 'redis',
      urls: ['redis://10.0.0.1:26379/2'],
      sentinel: 'main',
      instances: 1,
      prefix: 'api',
      deadline: '50ms',
      denyCache: false,
      leases: false,
    });
  });

  it('say how long a decision waits for Redis', () => {
    const flags = { redis: ['redis://10.0.0.1'], instances: ['1'], deadline: ['0.2s'] };
    expect(settle({ flags }).settings.storage).toMatchObject({ deadline: '0.2s' });
  });

  it('say what is answered without Redis, each by itself', () => {
    const flags = { redis: ['redis://10.0.0.1'], instances: ['1'] };
    const storage = (more: object) => settle({ flags: { ...flags, ...more } }).settings.storage;
    expect(storage({ denyCache: ['on'] })).toMatchObject({ denyCache: true, leases: false });
    expect(storage({ leases: ['on'], denyCache: ['off'] })).toMatchObject({ denyCache: false, leases: true });
    for (const [text, is] of [
      ['deny_cache: true\nleases: on', { denyCache: true, leases: true }],
      ['deny_cache: false\nleases: off', { denyCache: false, leases: false }],
    ] as const) {
      expect(settle({ flags, file: yaml(text) }).settings.storage).toMatchObject(is);
    }
  });

  it.each<[Texts, object]>([
    [{ algorithm: 'token-bucket' }, { algorithm: 'token-bucket', limit: 1000, window: '1h' }],
    [
      { limit: '5', window: '1m' },
      { algorithm: 'sliding-window-counter', limit: 5, window: '1m' },
    ],
    [
      { limit: '5', window: '1m', burst: '9' },
      { algorithm: 'token-bucket', limit: 5, window: '1m', burst: 9 },
    ],
    [
      { limit: '0', window: '1d', algorithm: 'fixed-window' },
      { algorithm: 'fixed-window', limit: 0, window: '1d' },
    ],
    [
      { maxTokens: '10', refillRate: '2' },
      { algorithm: 'token-bucket', limit: 2, window: 1000, burst: 10 },
    ],
    [
      { capacity: '10', leakRate: '0.5', algorithm: 'leaky-bucket' },
      { algorithm: 'leaky-bucket', limit: 1, window: 2000, burst: 10 },
    ],
  ])('grant everybody what %j says', (texts, defaults) => {
    expect(settle({ flags: asFlags(texts) }).settings.defaults).toEqual(defaults);
  });

  it.each<[string, object]>([
    ['headers: false', { headers: false }],
    ['headers: off', { headers: false }],
    ['headers: [legacy, draft-11]', { headers: ['legacy', 'draft-11'] }],
    ['admin_limit: false', { adminLimit: false }],
    ['body_limit: 64KiB', { bodyLimit: 65_536 }],
    ['body_limit: 2 MB', { bodyLimit: 2_000_000 }],
    [
      'lists: { allow: [192.0.2.0/28], block: ["user:42"] }',
      { lists: { allow: ['192.0.2.0/28'], block: ['user:42'] } },
    ],
  ])('take %s of a file', (text, expected) => {
    expect(settle({ file: yaml(text) }).settings).toMatchObject(expected);
  });

  it('take the rules of a file as the API does', () => {
    const rule = { id: 'login', endpoint: '/login', methods: ['POST'], limit: 5, window: '1m', identity: 'ip' };
    expect(settle({ file: yaml(`rules:\n  - ${JSON.stringify(rule)}`) }).settings.rules).toEqual([rule]);
  });

  it('leave the variables of others alone', () => {
    expect(settle({ env: { PORT: '1', SLUICEPORT: '2', MY_SLUICE_PORT: '3', SLUICE_HOST: undefined } })).toEqual(
      settle(),
    );
  });
});
