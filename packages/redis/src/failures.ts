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

export function isUnknownScript(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith('NOSCRIPT');
}
