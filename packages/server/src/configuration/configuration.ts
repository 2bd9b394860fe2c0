import type { AlgorithmName, Mode } from '@sluice/core';

/** The lists of clients that are never limited, and of those that are always refused. */
export type ListName = 'allow' | 'block';

/** A Rule, as it is written to the service: which requests it is about, and what it grants them. */
export interface RuleDocument {
  /** 1 to 48 characters of `[A-Za-z0-9_-]`; names the policy in decisions, header fields and store keys. */
  readonly id: string;
  readonly description?: string;
  /** `/login`, `/files/:id`, `/uploads/*`; `*` is any. */
  readonly endpoint: string;
  /** Without: any. */
  readonly methods?: readonly string[];
  /** The one tier it is for. Without: every tier, and requests without one. */
  readonly tier?: string;
  readonly algorithm?: AlgorithmName;
  /** Units per window. A rule has both, or is `unlimited`. */
  readonly limit?: number;
  /** A duration such as `1m`. */
  readonly window?: string;
  readonly burst?: number;
  readonly unlimited?: true;
  readonly mode?: Mode;
  /** Of several rules that match, the one of the highest priority applies, then the most specific. */
  readonly priority?: number;
  /** Who is counted; without: the API key, else the user, else the address. */
  readonly identity?: 'api-key' | 'user' | 'ip';
  /** Whom it never limits, and whom it always refuses. */
  readonly lists?: { readonly [list in ListName]?: readonly string[] };
}

/** A rule as the service keeps it. */
export interface StoredRule {
  readonly rule: RuleDocument;
  /** The version of the configuration in which it came to be as it is: what its ETag is made of. */
  readonly version: number;
  readonly createdAt: string;
  readonly updatedAt: string;
}

/** An entry of a list as the service keeps it. */
export interface StoredEntry {
  /** An address, a range, `user:42`, or `api-key:#…` with the digest of the key. */
  readonly entry: string;
  /** When it ends, in RFC 3339; for good without. */
  readonly expiresAt?: string;
  readonly note?: string;
  readonly version: number;
  readonly createdAt: string;
}

/** What is kept in one place, by the name of what it is kept for. */
export interface Kinds {
  readonly rules: StoredRule;
  readonly allow: StoredEntry;
  readonly block: StoredEntry;
}

export type Kind = keyof Kinds;

/** A Configuration is all that can be changed while the service runs, as of one version. */
export interface Configuration {
  /** Grows with each write; 0 where nothing has been written yet. */
  readonly version: number;
  readonly rules: ReadonlyMap<string, StoredRule>;
  readonly allow: ReadonlyMap<string, StoredEntry>;
  readonly block: ReadonlyMap<string, StoredEntry>;
}

/** One write: what `id` is from now on; `null` for nothing. The version and the times are set by the store. */
export type Change =
  | { readonly kind: 'rules'; readonly id: string; readonly value: RuleDocument | null }
  | {
      readonly kind: ListName;
      readonly id: string;
      readonly value: Pick<StoredEntry, 'entry' | 'expiresAt' | 'note'> | null;
    };

/** What a writer expects of `id`, checked in the same step as the write. */
export type Expected =
  /** It is there or not. */
  | 'anything'
  | 'absent'
  | 'present'
  /** It is there, as of one of these versions. */
  | readonly number[];

/** An AuditEntry says who changed what, from what to what. */
export interface AuditEntry {
  /** The version that the write led to. */
  readonly version: number;
  /** RFC 3339. */
  readonly at: string;
  /** Who: the token's name or `loopback`, and the address. Never a secret. */
  readonly by: string;
  /** What was written; `recovery` where a store that had lost writes was put right, which leaves `before` and `after` null. */
  readonly kind: Kind | 'recovery';
  /** Of a recovery: what the store went on from. */
  readonly id: string;
  readonly before: StoredRule | StoredEntry | null;
  readonly after: StoredRule | StoredEntry | null;
}

/** What became of a write; `conflict` tells what is there instead of what was expected. */
export type Written =
  | { readonly outcome: 'written'; readonly entry: AuditEntry }
  | { readonly outcome: 'conflict'; readonly found: StoredRule | StoredEntry | null };

/**
 * What goes on after a store has lost writes: what is in force in the service, or what the store has left.
 */
export type RecoverySource = 'service' | 'storage';

/**
 * A ConfigurationStore keeps the configuration and its audit log. A write that is acknowledged survives whatever happens
 * to the process; one that fails has not happened, or happened wholly.
 */
export interface ConfigurationStore {
  /** @throws LostWrites where the store lacks what this process has seen of it; `version` does so as well. */
  load(): Promise<Configuration>;
  /** The version, as cheaply as it can be found out. */
  version(): Promise<number>;
  /**
   * An entry of a list that has ended is absent, to whoever expects something and in the audit log. Only to remove it, it
   * can still be named by its version.
   */
  write(change: Change, by: string, expected: Expected): Promise<Written>;
  /**
   * Ends a loss of writes, in one step: `inForce`, or what the store has left, becomes a version above all that any
   * process has seen. Resolves to the entry of the audit log that says so.
   * @throws Problem 409 where nothing is lost, or what the store has left is not to be read. 503 as `write` does.
   */
  recover(from: RecoverySource, inForce: Configuration, by: string): Promise<AuditEntry>;
  /**
   * The latest writes, the latest first; those before the version `before`, if that is given. Fewer than `limit` where
   * they would take more than a page may.
   */
  audit(limit: number, before?: number): Promise<readonly AuditEntry[]>;
  /** Calls `listener` when some process has written, where that can be told; a poll of the version is the safety net. */
  onChange(listener: () => void): () => void;
  close(): Promise<void>;
}
