import type { Logger } from '@sluice/core';
import { destination, type Logger as Pino, pino } from 'pino';
import type { Settings } from './settings/settings.js';

/** The log of the service: a line of JSON per event, on standard error. */
export function createLog(level: Settings['logLevel']): Pino {
  return pino(
    {
      level,
      serializers: {
        // Paths, queries and header fields may hold keys and ids.
        req: ({ method, routeOptions, ip }) => ({ method, route: routeOptions?.url, address: ip }),
      },
      formatters: { level: (label) => ({ level: label }) },
      timestamp: pino.stdTimeFunctions.isoTime,
    },
    destination({ dest: 2, sync: true }),
  );
}

/** What the parts of Sluice tell an operator, as lines of that log. */
export function loggerOf(log: Pino): Logger {
  return { warn: (message) => log.warn(message), info: (message) => log.info(message) };
}

/** The same, for what tells of every refusal: that is for who looks for one, since there may be thousands in a second. */
export function quietLoggerOf(log: Pino): Logger {
  return { warn: (message) => log.warn(message), info: (message) => log.debug(message) };
}
