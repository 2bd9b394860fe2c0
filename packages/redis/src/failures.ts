import { SluiceError } from '@sluice/core';

/** What an error of Redis means for us, where that is more than it says itself. */
export function explained(error: unknown, keys: readonly string[], isCluster: boolean): unknown {
  if (!(error instanceof Error)) return error;
  const { message } = error;
  if (message.includes('WRONGTYPE') || message.includes('SLUICE_STATE')) {
    return new SluiceError(
      'UNUSABLE_STATE',
      `What Redis keeps under ${keys.join(' or ')} is no state of a limit. Delete it, or give the store a 'prefix' of its own.`,
      { cause: error },
    );
  }
  if (!isCluster && (message.startsWith('MOVED ') || message.startsWith('CROSSSLOT'))) {
    return new SluiceError(
      'STORE_UNAVAILABLE',
      'RedisStore: the server belongs to a cluster, and the client knows only this server. Use new Cluster([…]) of ioredis.',
      { cause: error },
    );
  }
  return error;
}

/** Whether a server has refused a call for the keys that it names, before it did anything. */
export function concernsKeys(error: unknown): boolean {
  return error instanceof Error && /^(MOVED|ASK|CROSSSLOT|TRYAGAIN|NOPERM) /.test(error.message);
}

/** Whether a server takes no writes since it has become a replica. */
export function isReplica(error: Error): boolean {
  return /\bREADONLY /.test(error.message);
}

export function isUnknownScript(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith('NOSCRIPT');
}
