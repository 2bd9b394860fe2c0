import type { Clock } from '@sluice/core';
import type { FastifyInstance } from 'fastify';
import type { Analytics } from '../analytics/analytics.js';
import type { LiveRules } from '../configuration/live-rules.js';
import type { Decider } from '../decisions/decider.js';
import type { Metrics } from '../metrics.js';
import type { Settings } from '../settings/settings.js';
import type { UserDirectory } from '../users/user.js';
import type { Access } from './access.js';

/** What the routes are made of. */
export interface RouteParts {
  readonly settings: Settings;
  readonly access: Access;
  readonly decider: Decider;
  readonly rules: LiveRules;
  readonly users: UserDirectory;
  readonly analytics: Analytics;
  readonly metrics: Metrics;
  readonly clock: Clock;
  /** Whether the service is about to stop, so that requests should be sent elsewhere. */
  readonly isClosing: () => boolean;
  /** What an operator should look at. */
  readonly notes: () => readonly string[];
}

/** Adds routes to the service. */
export type Routes = (app: FastifyInstance, parts: RouteParts) => void;
