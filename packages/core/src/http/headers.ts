import type { Decision } from '../decision.js';
import type { QuotaUnit } from '../engine/line.js';
import { SluiceError, show } from '../errors.js';
import { checkNames } from '../options.js';
import { checkHeaderNamesOf, type HeaderNames, renamed } from './headers/names.js';
import { type Field, fieldsOf, LegacyWriter } from './headers/styles.js';

export { retryAfterSeconds } from './headers/seconds.js';

/**
 * The header fields that tell the client about its limits: `X-RateLimit-Limit`, `-Remaining` and `-Reset`, or those of a
 * version of draft-ietf-httpapi-ratelimit-headers.
 */
export type HeaderStyle = 'legacy' | 'draft-6' | 'draft-7' | 'draft-8' | 'draft-11';

/** One style, several that share no field, like `['legacy', 'draft-11']`, or none. */
export type HeaderStyles = HeaderStyle | readonly HeaderStyle[] | false;

/** The styles of all responses, or those of requests that passed and of requests that did not. */
export type HeaderOptions = HeaderStyles | { readonly passed: HeaderStyles; readonly limited: HeaderStyles };

export type HeaderFields = Record<string, string>;

/** A QuotaLine is what the client is told of one policy on a request. */
export interface QuotaLine {
  /** 1 to 64 characters of `[A-Za-z0-9_-]`. */
  readonly name: string;
  /** Whom it counts, as the store knows it. */
  readonly key: string;
  readonly limit: number;
  /** `undefined` for a limit on concurrency. */
  readonly windowMs: number | undefined;
  readonly unit: QuotaUnit;
  /** Whether it refuses after breaches of other policies, and has no quota of its own. */
  readonly isPenalty: boolean;
  /** The policy's own. */
  readonly decision: Decision;
}

/** A HeaderWriter writes the fields of the styles that were chosen. */
export class HeaderWriter {
  /** Whether any of the fields is made of the lines; without, they need not be collected. */
  readonly needsLines: boolean;
  /** Where all responses have the legacy fields, and no others. */
  readonly #legacy: LegacyWriter | undefined;
  readonly #passed: readonly Field[];
  readonly #limited: readonly Field[];

  /** @throws SluiceError for styles and names that do not exist or get in one another's way. */
  constructor(
    headers: HeaderOptions,
    response: { readonly headerNames?: HeaderNames | undefined; readonly partitionKey?: string | undefined } = {},
    where = 'response',
  ) {
    const { passed, limited } = byOutcome(headers);
    const { headerNames = {}, partitionKey } = response;
    const all = [...passed, ...limited];
    if (partitionKey !== undefined && !all.some(({ usesPartition }) => usesPartition)) {
      throw new SluiceError(
        'INVALID_OPTION',
        `${where}: 'partitionKey' is for the fields of 'draft-8' and 'draft-11', which 'headers' does not choose. ` +
          'Leave it out, or add one of them.',
      );
    }
    checkHeaderNamesOf(all, headerNames, `${where}: 'headerNames'`);
    const isLegacy = headers === 'legacy' && Object.keys(headerNames).length === 0;
    this.#legacy = isLegacy ? new LegacyWriter() : undefined;
    this.#passed = renamed(passed, headerNames);
    this.#limited = renamed(limited, headerNames);
    this.needsLines = [...this.#passed, ...this.#limited].some(({ usesLines }) => usesLines);
  }

  /**
   * Adds the fields to `fields`: `tightest` is what has been decided, `lines` are all policies of all limiters on the
   * request, and `partitionOf` gives the base64 of what tells a key from others without telling the key.
   */
  write(
    fields: HeaderFields,
    tightest: Decision,
    lines: readonly QuotaLine[],
    partitionOf?: (key: string) => string,
  ): void {
    if (this.#legacy !== undefined) {
      this.#legacy.write(fields, tightest);
      return;
    }
    for (const { name, text } of tightest.allowed ? this.#passed : this.#limited) {
      const value = text(tightest, lines, partitionOf);
      if (value !== undefined) fields[name] = value;
    }
  }
}

function byOutcome(headers: HeaderOptions): Record<'passed' | 'limited', readonly Field[]> {
  if (typeof headers !== 'object' || headers === null || Array.isArray(headers)) {
    const fields = fieldsOfAll(headers as HeaderStyles, "'headers'");
    return { passed: fields, limited: fields };
  }
  checkNames(headers, ['passed', 'limited'], "'headers'", "{ passed: false, limited: 'legacy' }");
  const { passed, limited } = headers as Exclude<HeaderOptions, HeaderStyles>;
  if (passed === undefined || limited === undefined) {
    throw new SluiceError(
      'INVALID_OPTION',
      `'headers' has '${passed === undefined ? 'limited' : 'passed'}' only. Say both, like { passed: false, limited: 'legacy' }.`,
    );
  }
  return { passed: fieldsOfAll(passed, 'headers.passed'), limited: fieldsOfAll(limited, 'headers.limited') };
}

function fieldsOfAll(styles: HeaderStyles, where: string): readonly Field[] {
  if (styles === false) return [];
  const list: readonly HeaderStyle[] = Array.isArray(styles) ? styles : [styles];
  if (list.length === 0)
    throw new SluiceError('INVALID_OPTION', `${where} is an empty list. Write false for no headers.`);
  const fields: Field[] = [];
  const writers = new Map<string, HeaderStyle>();
  for (const style of list) {
    if (typeof style !== 'string' || !Object.hasOwn(fieldsOf, style)) {
      throw new SluiceError(
        'INVALID_OPTION',
        `${where} must be ${Object.keys(fieldsOf).map(show).join(', ')}, a list of these, or false; got ${show(style)}.`,
      );
    }
    for (const field of fieldsOf[style]()) {
      const other = writers.get(field.name);
      if (other === style)
        throw new SluiceError('INVALID_OPTION', `${where} lists ${show(style)} twice. Leave out one.`);
      if (other !== undefined) {
        throw new SluiceError(
          'INVALID_OPTION',
          `${where}: ${show(other)} and ${show(style)} both write ${field.name}. Choose one of them; 'legacy' goes with any.`,
        );
      }
      writers.set(field.name, style);
      fields.push(field);
    }
  }
  return fields;
}

/**
 * `Access-Control-Expose-Headers` with `fields` added to what is `present`, so that scripts of other origins can read
 * them. They are added to a `*` too: on a request with credentials it is no wildcard, but the name of a field.
 */
export function exposeHeaders(present: unknown, fields: readonly string[]): string {
  if (present === undefined) return fields.join(', ');
  const names = String(present)
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
  const known = new Set(names.map((name) => name.toLowerCase()));
  return [...names, ...fields.filter((name) => !known.has(name.toLowerCase()))].join(', ');
}
