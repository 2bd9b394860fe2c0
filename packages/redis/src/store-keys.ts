import { createHash } from 'node:crypto';
import { type CompiledPolicy, SluiceError } from '@sluice/core';
import { Memo, show } from '@sluice/core/toolkit';
import slotOf from 'cluster-key-slot';

/** Longer keys are digested: every byte of a key is kept once per policy. */
const longestKey = 128;

/**
 * StoreKeys names the keys under which a server keeps state: `prefix:algorithm:{key}`, and `:name` behind it where the
 * policy is not called `default`. The key of the client alone stands in the hash tag, so that all its policies share a
 * slot of a cluster.
 */
export class StoreKeys {
  readonly #prefix: string;
  readonly #parts = new WeakMap<CompiledPolicy, readonly [before: string, behind: string]>();

  /** @throws SluiceError `INVALID_OPTION` for a prefix that would change the slot, or is empty. */
  constructor(prefix: string) {
    if (typeof prefix !== 'string' || !/^[A-Za-z0-9._:@/-]{1,64}$/.test(prefix)) {
      throw new SluiceError(
        'INVALID_OPTION',
        `RedisStore: 'prefix' must be 1 to 64 characters of A-Z a-z 0-9 . _ : @ / -; got ${show(prefix)}.`,
      );
    }
    this.#prefix = prefix;
  }

  of(policy: CompiledPolicy, key: string): string {
    let parts = this.#parts.get(policy);
    if (parts === undefined) {
      const { algorithm, name } = policy;
      parts = [`${this.#prefix}:${algorithm}:{`, name === 'default' ? '}' : `}:${name}`];
      this.#parts.set(policy, parts);
    }
    return parts[0] + tagOf(key) + parts[1];
  }

  /** A key of no client, in the slot of that one. */
  probe(key: string): string {
    return `${this.#prefix}:probe:{${tagOf(key)}}`;
  }
}

/** A decision asks for the digest of its key once for each policy, and again for its slot. */
const digests = new Memo(
  // JSON tells apart halves of surrogate pairs, which have no encoding.
  (key) => `##${createHash('sha256').update(JSON.stringify(key)).digest('base64url').slice(0, 22)}`,
);

/**
 * What stands for a key in the names of a server. Keys that are long, or of characters that could end the hash tag or
 * puzzle whoever reads them, are digested; no other key is taken for a digest.
 */
function tagOf(key: string): string {
  return key.length <= longestKey && /^(?!##)[\w.:@/#+=,~-]+$/.test(key) ? key : digests.get(key);
}

/** Whether what stands for a key in the names of a server is its digest. */
export function isDigest(tag: string): boolean {
  return tag.startsWith('##');
}

/** The slot of a cluster in which the states of a key are. */
export function slotOfKey(key: string): number {
  return slotOf(tagOf(key));
}
