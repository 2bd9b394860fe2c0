import type { AlgorithmName, Duration, HeaderStyle, PolicyText } from '@sluice/core';
import type { RuleDocument } from '../configuration/configuration.js';

/** Where the counts, rules and users are kept. */
export type StorageSettings =
  | { readonly kind: 'embedded'; readonly dataDir: string }
  | {
      readonly kind: 'redis';
      /** `redis://` or `rediss://`; several are nodes of a cluster. */
      readonly urls: readonly string[];
      /** With the name of the master, the urls are those of sentinels. */
      readonly sentinel?: string;
      /** How many instances share the limits at the most, for the time when Redis fails. */
      readonly instances: number;
      readonly prefix: string;
      /** How long a decision waits for Redis before this instance answers by itself; a minute at the most. */
      readonly deadline: Duration;
      /** Whether this instance refuses repeats of what Redis has refused without asking it. @default false */
      readonly denyCache?: boolean;
      /** Whether it takes units of hot keys in advance, and hands them out without asking Redis. @default false */
      readonly leases?: boolean;
    };

/** What everybody is granted where no rule says otherwise. */
export interface DefaultLimits {
  readonly algorithm: AlgorithmName;
  readonly limit: number;
  readonly window: Duration;
  readonly burst?: number;
}

/** All that is settled when the service starts. */
export interface Settings {
  readonly host: string;
  /** 0 for a free one. */
  readonly port: number;
  readonly storage: StorageSettings;
  readonly defaults: DefaultLimits;
  /** Rules that stand in the configuration file: the API shows them and cannot change them. */
  readonly rules: readonly RuleDocument[];
  readonly lists: { readonly allow: readonly string[]; readonly block: readonly string[] };
  /** Bearer tokens; several of one scope for their rotation. */
  readonly adminTokens: readonly string[];
  readonly checkTokens: readonly string[];
  readonly headers: HeaderStyle | readonly HeaderStyle[] | false;
  readonly userTtl: Duration;
  readonly maxUsers: number;
  /** Keys that the embedded store keeps at the most. */
  readonly maxKeys: number;
  /** Limits of the service's own endpoints, per address. */
  readonly adminLimit: PolicyText | false;
  readonly checkLimit: PolicyText | false;
  /** Bytes. */
  readonly bodyLimit: number;
  readonly logLevel: 'silent' | 'error' | 'warn' | 'info' | 'debug';
}
