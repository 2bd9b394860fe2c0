import { type CircuitChange, type Logger, SluiceError, type StoreErrorMode } from '@sluice/core';
import { abandon, messageOf } from '@sluice/core/toolkit';

/** A Journal tells an operator what a store does, and what he can do. */
export class Journal {
  readonly #logger: Logger;
  readonly #meanwhile: string;

  constructor(logger: Logger | undefined, mode: StoreErrorMode, instances: number) {
    this.#logger = logger ?? { warn: (message) => process.emitWarning(message, { code: 'SLUICE_WARNING' }) };
    this.#meanwhile = meanwhileOf(mode, instances);
  }

  /** A server is no longer asked, or is asked again. */
  changed({ circuit, from, to, error }: CircuitChange): void {
    if (to === 'open' && from === 'closed') {
      this.warn(
        `RedisStore: ${nameOf(circuit)} fails, and is probed until it answers. ${textOf(error)} ${this.#meanwhile}`,
      );
    } else if (to === 'closed') this.#info(`RedisStore: ${nameOf(circuit)} answers again, and decides.`);
  }

  /** Calls have failed. */
  failed(error: unknown, failures: number): void {
    if (error instanceof SluiceError && error.code === 'UNUSABLE_STATE') {
      this.warn(`RedisStore: ${error.message}`);
      return;
    }
    const times = failures === 1 ? 'A call' : `${failures} calls`;
    this.warn(`RedisStore: ${times} failed, the last because: ${textOf(error)} ${this.#meanwhile}`);
  }

  /** A logger that fails must not fail a request. */
  warn(message: string): void {
    try {
      abandon(this.#logger.warn(message));
    } catch {}
  }

  /** That all is well again must be told to whoever was told that it is not. */
  #info(message: string): void {
    try {
      if (this.#logger.info === undefined) this.warn(message);
      else abandon(this.#logger.info(message));
    } catch {}
  }
}

function meanwhileOf(mode: StoreErrorMode, instances: number): string {
  switch (mode) {
    case 'fallback':
      return instances === 1
        ? 'Meanwhile this process decides in its own memory.'
        : `Meanwhile each of ${instances} processes grants its share of every limit, from its own memory.`;
    case 'allow':
      return 'Meanwhile every request passes.';
    case 'deny':
      return 'Meanwhile every request is refused.';
    case 'throw':
      return 'Meanwhile requests fail.';
  }
}

function nameOf(circuit: string): string {
  return circuit === 'redis' ? 'Redis' : `Redis ${circuit}`;
}

/** Ends with a full stop, so that more can follow. */
function textOf(error: unknown): string {
  const text = messageOf(error).replace(/\.?$/, '.');
  return error instanceof Error && error.cause !== undefined ? `${text} Its cause: ${textOf(error.cause)}` : text;
}
