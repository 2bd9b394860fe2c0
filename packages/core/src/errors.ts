/** Every code a {@link SluiceError} can carry. */
export type SluiceErrorCode =
  | 'UNKNOWN_OPTION'
  | 'INVALID_OPTION'
  | 'INVALID_POLICY'
  | 'INVALID_WINDOW'
  | 'DUPLICATE_POLICY'
  | 'INVALID_COST'
  | 'INVALID_KEY'
  | 'INVALID_CLOCK'
  | 'INVALID_ERROR'
  | 'NO_IDENTITY'
  | 'ASYNC_STORE'
  | 'NEVER_GRANTED'
  | 'MAX_WAIT_EXCEEDED'
  | 'CLOSED'
  | 'STORE_TIMEOUT'
  | 'STORE_UNAVAILABLE'
  | 'UNUSABLE_STATE'
  | 'NOT_RESERVED'
  | 'ALREADY_SETTLED'
  | 'LIMITED';

/** SluiceError is what Sluice throws: `code` is stable, `message` says what is wrong and what to do about it. */
export class SluiceError extends Error {
  readonly code: SluiceErrorCode;

  constructor(code: SluiceErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'SluiceError';
    this.code = code;
  }
}

/** What somebody has thrown says of itself: not everybody throws errors. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : show(error);
}

/** Shows a wrong value in a message: short, on one line, and with its type where the text alone would mislead. */
export function show(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.length > 60 ? `${value.slice(0, 57)}…` : value);
  if (typeof value === 'function') return `a function${value.name ? ` (${value.name})` : ''}`;
  if (Array.isArray(value)) return `an array of ${value.length}`;
  if (typeof value === 'object' && value !== null) return Object.prototype.toString.call(value);
  return String(value);
}
