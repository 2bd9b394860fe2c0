export type { RuleDocument } from './configuration/configuration.js';
export { type Service, startService } from './service.js';
export type { DefaultLimits, Settings, StorageSettings } from './settings/settings.js';
