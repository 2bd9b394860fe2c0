export type { Answer, AppSetup, BuiltApp, Limits } from './adapter/setup.js';
export { type AdapterSuiteOptions, adapterSuite } from './adapter-suite.js';
export { ManualClock } from './manual-clock.js';
export { type StoreFixture, type StoreSuiteOptions, storeSuite } from './store-suite.js';
export type { TestFunction } from './suite.js';
