export { type Answer, type AppSetup, type BuiltApp, hasEarlyPhase, type Limits, type Route } from './adapter/setup.js';
export { type AdapterSuiteOptions, adapterSuite } from './adapter-suite.js';
export { ManualClock } from './manual-clock.js';
export { type StoreFixture, type StoreSuiteOptions, storeSuite } from './store-suite.js';
export type { TestFunction } from './suite.js';
