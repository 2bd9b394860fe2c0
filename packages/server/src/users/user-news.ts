import type { Cluster, Redis } from 'ioredis';
import type { UserReader } from './user-reader.js';

/**
 * Tells a reader of the users who are changed by other instances, as they say on a channel, until the returned function
 * is called. A connection to a single server tells when it is lost. That of a cluster does not, and is not relied on.
 */
export function hearChanges(subscriber: Redis | Cluster, channel: string, reader: UserReader): () => void {
  const onMessage = (on: string, id: string) => {
    if (on === channel) reader.changed(id);
  };
  const onReady = () => {
    subscriber.subscribe(channel).then(
      () => reader.hear(!subscriber.isCluster && subscriber.status === 'ready'),
      // The connection was lost again: there is a next one.
      () => reader.hear(false),
    );
  };
  const onClose = () => reader.hear(false);
  subscriber.on('message', onMessage);
  subscriber.on('ready', onReady);
  subscriber.on('close', onClose);
  if (subscriber.status === 'ready') onReady();
  return () => {
    subscriber.off('message', onMessage);
    subscriber.off('ready', onReady);
    subscriber.off('close', onClose);
    if (subscriber.status === 'ready') subscriber.unsubscribe(channel).catch(() => {});
  };
}
