import fc from 'fast-check';
import { stringify } from 'yaml';
import { ConfigFile } from '../../src/settings/config-file.ts';
import { keyOf, type OptionName, options, variableOf } from '../../src/settings/options.ts';
import { type Loaded, settingsOf, type Written } from '../../src/settings/settings-of.ts';

/** What is written for some options, each list with commas. */
export type Texts = { [name in OptionName]?: string };

export const folder = '/srv/app';

/** Settings of what a test writes; files of tokens are not looked for. */
export function settle(written: Partial<Written> = {}): Loaded {
  return settingsOf({ folder, open: () => undefined, ...written });
}

/** What is said to be wrong, one line each. */
export function mistakesOf(written: Partial<Written>): readonly string[] {
  try {
    settle(written);
  } catch (error) {
    return (error as { lines: readonly string[] }).lines;
  }
  return [];
}

/** A file of that text, by the name of sluice.yaml. */
export function yaml(text: string): ConfigFile {
  return new ConfigFile('sluice.yaml', text);
}

export function asFlags(texts: Texts): Written['flags'] & object {
  return Object.fromEntries(Object.entries(texts).map(([name, text]) => [name, [text]]));
}

export function asVariables(texts: Texts): Record<string, string> {
  return Object.fromEntries(Object.entries(texts).map(([name, text]) => [variableOf(name), text]));
}

/** Numbers as numbers of YAML, and lists as lists. */
export function asFile(texts: Texts): ConfigFile | undefined {
  const entries = Object.entries(texts).map(([name, text]) => {
    const { several } = options[name as OptionName];
    return [keyOf(name), several ? text.split(',') : /^\d+(\.\d+)?$/.test(text) ? Number(text) : text];
  });
  return entries.length === 0 ? undefined : yaml(stringify(Object.fromEntries(entries)));
}

const number = (min: number, max: number) => fc.integer({ min, max }).map(String);
const token = fc.stringMatching(/^[A-Za-z0-9._~+/-]{16,40}={0,2}$/);
const tokens = fc.array(token, { minLength: 1, maxLength: 3 }).map((list) => list.join());
const files = fc.array(fc.stringMatching(/^[a-z]{1,8}$/), { minLength: 1, maxLength: 2 }).map((list) => list.join());
const window = fc.constantFrom('500ms', '10s', '1m', '0.5h', '1d');
const size = fc.constantFrom('1024', '64KiB', '2 MB', '1MiB');
const policy = fc.constantFrom('off', '10/1m', '10/1m burst 20');
const rate = fc.constantFrom('2', '0.5', '0.001', '1000');
const urls = fc.array(number(1, 65_535), { minLength: 1, maxLength: 3 });

const storage = fc.oneof(
  fc.record({ dataDir: fc.stringMatching(/^[a-z.][a-z/]{0,9}$/), maxKeys: number(1, 2 ** 30) }, { requiredKeys: [] }),
  fc.record(
    {
      redis: urls.map((ports) => ports.map((port) => `redis://:pass@10.0.0.1:${port}`).join()),
      instances: number(1, 100),
      redisSentinel: fc.constantFrom('mymaster', 'main'),
      prefix: fc.stringMatching(/^[a-z]{1,9}$/),
      deadline: fc.constantFrom('1ms', '50ms', '0.5s', '1m'),
      denyCache: fc.constantFrom('on', 'off'),
      leases: fc.constantFrom('on', 'off'),
    },
    { requiredKeys: ['redis', 'instances'] },
  ),
);

const limits = fc.oneof(
  fc.constant({}),
  fc.record({ limit: number(0, 1e9), window, algorithm: fc.constantFrom('fixed-window', 'leaky-bucket') }),
  fc.record({ limit: number(1, 1_000), window, burst: number(1, 1_000) }),
  fc.record({ maxTokens: number(1, 1_000), refillRate: rate }),
  fc.record({ capacity: number(1, 1_000), leakRate: rate, algorithm: fc.constant('leaky-bucket') }),
);

const others = fc.record(
  {
    host: fc.constantFrom('127.0.0.1', '0.0.0.0', '::', 'localhost', 'fe80::1'),
    port: number(0, 65_535),
    adminToken: tokens,
    adminTokenFile: files,
    checkToken: tokens,
    checkTokenFile: files,
    adminLimit: policy,
    checkLimit: policy,
    bodyLimit: size,
    userTtl: window,
    maxUsers: number(1, 2 ** 30),
    headers: fc.constantFrom('off', 'legacy', 'draft-11', 'legacy,draft-8'),
    logLevel: fc.constantFrom('silent', 'error', 'warn', 'info', 'debug'),
  },
  { requiredKeys: [] },
);

/** Any settings that go together. */
export const anyTexts: fc.Arbitrary<Texts> = fc
  .tuple(storage, limits, others)
  .map((parts) => Object.assign({}, ...parts));
