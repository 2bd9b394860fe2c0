import { SluiceError, show } from './errors.js';
import { checkType } from './options.js';

/** Where warnings and refusals are logged: `console`, and most loggers, will do. */
export interface Logger {
  warn(message: string): void;
  /** A line for each refusal, and when a store that has failed is back. */
  info?(message: string): void;
}

/** @throws SluiceError `INVALID_OPTION` for what is no logger. */
export function checkLogger(logger: Logger, where: string): void {
  if (typeof logger?.warn !== 'function') {
    throw new SluiceError(
      'INVALID_OPTION',
      `${where}: 'logger' needs a method warn(), like console; got ${show(logger)}.`,
    );
  }
  checkType(logger, 'info', 'function', `${where}: 'logger'`);
}
