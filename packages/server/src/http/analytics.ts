import { type Duration, SluiceError } from '@sluice/core';
import { parseDuration } from '@sluice/core/toolkit';
import type { Dimension } from '../analytics/analytics.js';
import { instantOf } from '../instants.js';
import { invalidParameter } from '../validation.js';
import { seriesPage, topPage } from './resource-schemas.js';
import type { Routes } from './route-parts.js';
import { problems } from './schemas.js';

const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;
/** Points of one series in an answer. */
const most = 1_500;

const duration = { type: 'string', minLength: 2, maxLength: 20 } as const;
const instant = { type: 'string', format: 'date-time' } as const;
const unavailable = { 503: { description: 'The counts cannot be read now.', $ref: 'Problem#' } };

/** What was decided, over time and by whom. */
export const analyticsRoutes: Routes = (app, { analytics, access, clock }) => {
  app.get<{ Querystring: { from?: string; to?: string; by: Dimension; step: string } }>(
    '/ratelimit/analytics',
    {
      onRequest: access.requires('admin'),
      schema: {
        summary: 'Decisions over time, over all instances',
        description: 'Kept per minute for a day and per hour for 30 days.',
        tags: ['monitoring'],
        querystring: {
          type: 'object',
          additionalProperties: false,
          properties: {
            from: { ...instant, description: 'Default: an hour before to.' },
            to: { ...instant, description: 'Default: now.' },
            by: { type: 'string', enum: ['rule', 'endpoint', 'tier', 'decision'], default: 'rule' },
            step: { ...duration, default: '1m', description: 'Whole minutes; before the last day, whole hours.' },
          },
        },
        response: { 200: { description: 'One series for each name.', ...seriesPage }, ...unavailable, ...problems },
      },
    },
    async ({ query }) => {
      const now = Math.floor(clock.now() / 1_000);
      const to = query.to === undefined ? now : instantOf(query.to)!;
      const from = query.from === undefined ? to - hour : instantOf(query.from)!;
      const step = durationOf(query.step, 'step');
      if (from >= to) throw invalidParameter('from', "It must be before 'to'.");
      if (step % minute !== 0) throw invalidParameter('step', 'It must be whole minutes, such as 1m, 5m or 1h.');
      if (from < now - day && step % hour !== 0) {
        throw invalidParameter(
          'step',
          'Minutes are kept for a day. For what was before, it must be whole hours, such as 1h or 1d.',
        );
      }
      if (from < now - 31 * day) throw invalidParameter('from', 'Counts are kept for 30 days.');
      if ((to - from) / step > most)
        throw invalidParameter('step', `There would be more than ${most} points. Choose a longer step.`);
      const series = await analytics.series({ from, to, by: query.by, step });
      return {
        from: new Date(from).toISOString(),
        to: new Date(to).toISOString(),
        by: query.by,
        step: query.step,
        series,
      };
    },
  );

  app.get<{ Querystring: { by: 'refused' | 'requests'; n: number; window: string } }>(
    '/ratelimit/analytics/top',
    {
      onRequest: access.requires('admin'),
      schema: {
        summary: 'Who sends the most requests, or is refused the most',
        description: 'Estimated in bounded memory: the true number is between count - error and count.',
        tags: ['monitoring'],
        querystring: {
          type: 'object',
          additionalProperties: false,
          properties: {
            by: { type: 'string', enum: ['refused', 'requests'], default: 'refused' },
            n: { type: 'integer', minimum: 1, maximum: 100, default: 20 },
            window: { ...duration, default: '5m', description: 'The latest minutes to look at: up to 1h.' },
          },
        },
        response: { 200: { description: 'The most frequent first.', ...topPage }, ...unavailable, ...problems },
      },
    },
    async ({ query }) => {
      const { by, n } = query;
      const window = durationOf(query.window, 'window');
      if (window < minute || window > hour) throw invalidParameter('window', 'It must be from 1m to 1h.');
      return { by, window: query.window, top: await analytics.top({ by, n, window }) };
    },
  );
};

function durationOf(text: string, parameter: string): number {
  try {
    return parseDuration(text as Duration, parameter);
  } catch (error) {
    if (!(error instanceof SluiceError)) throw error;
    throw invalidParameter(parameter, error.message.replace(`${parameter} `, 'It ').replace(/^\w+: /, ''));
  }
}
