/** A value now, or a promise of it: memory answers at once, a network later. */
export type MaybePromise<T> = T | PromiseLike<T>;

/** Takes the rejection of a promise that nobody will wait for any more: left alone, it would end the process. */
export function abandon(value: unknown): void {
  if (isPromise(value)) value.then(undefined, () => {});
}

export function isPromise<T>(value: MaybePromise<T>): value is PromiseLike<T> {
  return typeof value === 'object' && value !== null && typeof (value as PromiseLike<T>).then === 'function';
}
