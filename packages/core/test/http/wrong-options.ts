import { expect, test } from 'vitest';
import { Pipeline, type RateLimitOptions } from '../../src/index.ts';
import { type FakeRequest, reader } from './exchange.ts';

export const create = (options: unknown) => () => new Pipeline(reader, options as RateLimitOptions<FakeRequest>);

/** What is wrong, the options, the code, and what the message says: the line of configuration, and the remedy. */
export type WrongOptions = readonly [string, object, string, RegExp];

/** Declares a test for each of them. */
export function refuses(cases: readonly WrongOptions[]): void {
  test.each(cases)('%s is an error at creation, with place and remedy', (_, options, code, message) => {
    expect(create(options)).toThrow(expect.objectContaining({ code, message: expect.stringMatching(message) }));
  });
}

/** Numbers with which a policy is complete. */
export const one = { limit: 1, window: '1m' } as const;

/** A rule behind one that is right. */
export const behind = (wrong: unknown, more: object = {}) => ({ rules: [{ match: '/right', ...one }, wrong], ...more });
