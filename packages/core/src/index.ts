export type { AlgorithmName } from './algorithms/index.js';
export type { Charge, Refund } from './charge.js';
export { type Clock, systemClock } from './clock.js';
export type { Decision, DecisionEvent, DecisionSource } from './decision.js';
export { DenyCache, type DenyCacheOptions, type FreedKeys } from './deny-cache/deny-cache.js';
export type { Duration, DurationUnit } from './duration.js';
export type { ExplainedPolicy, Explanation } from './engine/explanation.js';
export type {
  Concurrency,
  Enforcement,
  KeySource,
  LimitInput,
  Limiting,
  LimitPolicy,
  Mode,
  Rule,
  Tiers,
} from './engine/limiting.js';
export type { LineKind } from './engine/line.js';
export { SluiceError, type SluiceErrorCode } from './errors.js';
export {
  type ExpressRateLimitInfo,
  type ExpressRateLimitStore,
  type ExpressStoreOptions,
  fromExpressRateLimitStore,
} from './express-store.js';
export { type ControlledMiddleware, type Controls, controlled, controlsOf } from './http/controls.js';
export type { HeaderFields, HeaderOptions, HeaderStyle, HeaderStyles } from './http/headers.js';
export type { RequestDecision } from './http/ledger.js';
export type {
  RateLimitOptions,
  RefusalAnswer,
  RefusalHandler,
  RequestEvent,
  ResponseTest,
} from './http/options.js';
export type { Outcome } from './http/outcome.js';
export { Pipeline } from './http/pipeline.js';
export { RateLimitError } from './http/rate-limit-error.js';
export type { HeaderSource, ProxyTrust, Reader, ResponseLike } from './http/reader.js';
export type { LimitedResponse } from './http/refusal.js';
export type { HeaderNames, Message, ResponseOptions } from './http/response.js';
export type { Verdict } from './http/verdict.js';
export { AccessList, type ListEntry, type Lists } from './identity/access-list.js';
export { ipKey } from './identity/address.js';
export type { IdentitySource } from './identity/identifier.js';
export type { IdentityOptions } from './identity/options.js';
export { type Override, Overrides } from './identity/overrides.js';
export type { ProxyHeader, TrustedProxies } from './identity/trusted-proxies.js';
export { type Leased, type LeaseRequest, leaseTime } from './leases/lease.js';
export type { Instead, LeasesOptions } from './leases/lease-options.js';
export { Leases } from './leases/leases.js';
export { createLimiter, type Limiter, type LimiterOptions, type SyncLimiter } from './limiter/limiter.js';
export type { AbortSignalLike, AcquireOptions } from './limiter/waiting-room.js';
export type { Logger } from './logger.js';
export type { MaybePromise } from './maybe-promise.js';
export { isPromise } from './maybe-promise.js';
export { MemoryStore, type MemoryStoreOptions } from './memory/memory-store.js';
export { type CompiledPenalty, compilePenalty, type PenaltyOptions } from './penalty.js';
export {
  type CompiledLimit,
  type CompiledPolicy,
  compilePolicies,
  type Policy,
  type PolicyInput,
  type PolicyText,
} from './policy.js';
export type { Reservation, ReserveOptions } from './reservation.js';
export type { CircuitChange, CircuitState } from './resilience/circuit-breaker.js';
export { type ConnectionState, GuardedStore, type GuardedStoreOptions } from './resilience/guarded-store.js';
export { Outage } from './resilience/outage.js';
export type { OutageOptions, StoreErrorMode } from './resilience/outage-options.js';
export { type StoreErrorOptions, withStoreErrors } from './resilience/store-errors.js';
export type { Known, Store, SyncStore } from './store.js';
