export type { AlgorithmName } from './algorithms/index.js';
export type { Charge, Refund } from './charge.js';
export { type Clock, systemClock } from './clock.js';
export type { Decision, DecisionEvent, DecisionSource } from './decision.js';
export type { Duration, DurationUnit } from './duration.js';
export { SluiceError, type SluiceErrorCode } from './errors.js';
export { ipKey } from './http/address.js';
export type { HeaderFields, HeaderStyle } from './http/headers.js';
export type { IdentityOptions } from './http/identity.js';
export type { RateLimitOptions } from './http/options.js';
export { Pipeline, type Verdict } from './http/pipeline.js';
export type { HeaderSource, ProxyTrust, Reader, ResponseLike } from './http/reader.js';
export type { LimitedResponse } from './http/refusal.js';
export { createLimiter, type Limiter, type LimiterOptions, type SyncLimiter } from './limiter/limiter.js';
export type { AbortSignalLike, AcquireOptions } from './limiter/waiting-room.js';
export type { MaybePromise } from './maybe-promise.js';
export { isPromise } from './maybe-promise.js';
export { MemoryStore, type MemoryStoreOptions } from './memory/memory-store.js';
export {
  type CompiledPolicy,
  compilePolicies,
  type Policy,
  type PolicyInput,
  type PolicyText,
} from './policy.js';
export type { Store, SyncStore } from './store.js';
