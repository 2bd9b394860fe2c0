import { algorithmNames } from '@sluice/core/toolkit';
import * as read from './readers.js';

/** An Option is a setting as it is written: from it come its flag, its variable, its key in the file and its help. */
export interface Option<T = unknown> {
  /** The heading under which help lists it. */
  readonly group: string;
  /** What help calls its value. */
  readonly value: string;
  readonly help: string;
  /** As one would write it; help shows it. */
  readonly default?: string;
  /** Whether it is a list: a repeated flag, values between commas, or a list of YAML. */
  readonly several: boolean;
  readonly read: read.Reader<T>;
}

type Written<T> = Omit<Option<T>, 'group' | 'several'>;
type One<T> = Option<T> & { readonly several: false };
type Several<T> = Option<T> & { readonly several: true };

const one = <T>(group: string, option: Written<T>): One<T> => ({ ...option, group, several: false });
const several = <T>(group: string, option: Written<T>): Several<T> => ({ ...option, group, several: true });

const listening = 'Listening';
const storage = 'Where counts, rules and users are kept';
const limits = 'Limits where no rule says otherwise (default: 1000 per 1h)';
const security = 'Who may ask, and how much';
const users = 'Users';
const answers = 'Answers and logs';

/** Every setting there is, by its name in TypeScript. */
export const options = {
  host: one(listening, {
    value: 'address',
    help: 'address or name to listen on; 0.0.0.0 or :: for all',
    default: '127.0.0.1',
    read: read.host,
  }),
  port: one(listening, {
    value: 'number',
    help: 'port to listen on; 0 for any free one',
    default: '8080',
    read: read.integer(0, 65_535),
  }),

  dataDir: one(storage, {
    value: 'folder',
    help: 'embedded: the folder with the data of this one instance',
    default: './.sluice',
    read: read.text,
  }),
  maxKeys: one(storage, {
    value: 'number',
    help: 'embedded: how many keys are kept at the most, counted per policy',
    default: '1000000',
    read: read.integer(1, 2 ** 30),
  }),
  redis: several(storage, {
    value: 'url',
    help: 'Redis instead of a folder: one server, or several nodes of a cluster; repeatable, or between commas',
    read: read.redisUrl,
  }),
  redisSentinel: one(storage, {
    value: 'master',
    help: 'name of the master that sentinels watch over; --redis then names the sentinels',
    read: read.text,
  }),
  instances: one(storage, {
    value: 'number',
    help: 'with --redis: how many instances share the limits at the most; while Redis fails, each grants its share',
    read: read.integer(1, 1_000_000),
  }),
  prefix: one(storage, {
    value: 'text',
    help: 'with --redis: what all keys begin with',
    default: 'ratelimit',
    read: (raw: unknown) => {
      const prefix = read.text(raw);
      if (/^[A-Za-z0-9._:@/-]{1,64}$/.test(prefix)) return prefix;
      return read.refuse(`must be 1 to 64 characters of A-Z a-z 0-9 . _ : @ / -; got ${JSON.stringify(prefix)}.`);
    },
  }),
  deadline: one(storage, {
    value: 'duration',
    help: 'with --redis: how long a decision waits for it before this instance answers by itself; up to 1m',
    default: '50ms',
    read: read.deadline,
  }),
  denyCache: one(storage, {
    value: 'on|off',
    help: 'with --redis: whether this instance refuses repeats of what Redis has refused without asking it',
    default: 'off',
    read: read.onOrOff,
  }),
  leases: one(storage, {
    value: 'on|off',
    help: 'with --redis: whether this instance takes units of hot keys in advance, and hands them out without asking it',
    default: 'off',
    read: read.onOrOff,
  }),

  algorithm: one(limits, {
    value: 'name',
    help: `${algorithmNames.join(', ')} (default: sliding-window-counter; with --burst, token-bucket)`,
    read: read.oneOf(...algorithmNames),
  }),
  limit: one(limits, {
    value: 'number',
    help: 'units per window; 0 refuses everything',
    read: read.integer(0, 1_000_000_000),
  }),
  window: one(limits, { value: 'duration', help: 'like 10s, 1m, 1h or 1d', read: read.duration }),
  burst: one(limits, {
    value: 'number',
    help: 'units that may be taken at once, for the two buckets',
    read: read.integer(1, 1_000_000_000),
  }),
  maxTokens: one(limits, {
    value: 'number',
    help: 'instead: a token bucket that holds so many tokens',
    read: read.integer(1, 1_000_000_000),
  }),
  refillRate: one(limits, { value: 'number', help: '… and is refilled with so many per second', read: read.rate }),
  capacity: one(limits, {
    value: 'number',
    help: 'instead: a leaky bucket that holds so many units',
    read: read.integer(1, 1_000_000_000),
  }),
  leakRate: one(limits, { value: 'number', help: '… and leaks so many per second', read: read.rate }),

  adminToken: several(security, {
    value: 'token',
    help: 'bearer token of the administration; without one, only clients on this machine may administer',
    read: read.token,
  }),
  adminTokenFile: several(security, { value: 'file', help: 'file with such tokens, one per line', read: read.text }),
  checkToken: several(security, {
    value: 'token',
    help: 'bearer token of those who ask for decisions; without one, anybody may',
    read: read.token,
  }),
  checkTokenFile: several(security, { value: 'file', help: 'file with such tokens, one per line', read: read.text }),
  adminLimit: one(security, {
    value: 'limit/window',
    help: 'administration requests per address; or off',
    default: '600/1m',
    read: read.policyOrOff,
  }),
  checkLimit: one(security, {
    value: 'limit/window',
    help: 'requests for decisions per address; or off',
    default: 'off',
    read: read.policyOrOff,
  }),
  bodyLimit: one(security, {
    value: 'size',
    help: 'longest body of a request',
    default: '1MiB',
    read: read.bytes(1_024, 2 ** 30),
  }),

  userTtl: one(users, {
    value: 'duration',
    help: 'how long users without limits of their own are remembered after their last request',
    default: '30d',
    read: read.duration,
  }),
  maxUsers: one(users, {
    value: 'number',
    help: 'how many users are known at the most',
    default: '1000000',
    read: read.integer(1, 2 ** 30),
  }),

  headers: several(answers, {
    value: 'style',
    help: 'rate limit header fields: legacy, draft-6, draft-7, draft-8, draft-11 or off; legacy goes with any draft',
    default: 'legacy',
    read: read.headerStyle,
  }),
  logLevel: one(answers, {
    value: 'level',
    help: 'silent, error, warn, info or debug',
    default: 'info',
    read: read.oneOf('silent', 'error', 'warn', 'info', 'debug'),
  }),
} as const;

export type OptionName = keyof typeof options;

/** What the options are read as. */
export type Values = {
  readonly [name in OptionName]: (typeof options)[name] extends Several<infer T>
    ? readonly T[]
    : (typeof options)[name] extends One<infer T>
      ? T
      : never;
};

export const optionNames = Object.keys(options) as OptionName[];

/** `dataDir` as a flag: `--data-dir`. */
export function flagOf(name: string): string {
  return `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

/** `dataDir` as a key of the file, spelled as the API spells its fields: `data_dir`. */
export function keyOf(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** `dataDir` as a variable: `SLUICE_DATA_DIR`. */
export function variableOf(name: string): string {
  return `SLUICE_${keyOf(name).toUpperCase()}`;
}
