import { expect, test } from 'vitest';
import { rateLimit } from '../src/index.ts';

test('calling the plugin instead of registering it says how to register it', () => {
  const called = rateLimit as unknown as (options?: object) => void;
  expect(() => called({ limit: 5 })).toThrow(/app\.register\(rateLimit/);
});
