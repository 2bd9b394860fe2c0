import type { Clock } from '@sluice/core';
import type { Cluster, Redis } from 'ioredis';

/** Milliseconds. */
const pause = 100;

/**
 * Connects a client again that has ended by itself, until the returned function disconnects it. ioredis ends for good a
 * client that is told of the next master by one sentinel while it is asking another one for it.
 */
export function keepConnected(client: Redis | Cluster, clock: Clock): () => void {
  let cancel = () => {};
  const onEnd = () => {
    cancel = clock.after(pause, () => void client.connect().catch(() => {}), { background: true });
  };
  client.on('end', onEnd);
  return () => {
    client.off('end', onEnd);
    cancel();
    client.disconnect();
  };
}
