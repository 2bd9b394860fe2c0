import { expect, test } from 'vitest';
import { masked } from '../../src/identity/entry.ts';

test.each([
  ['api-key:secret', 'api-key:…'],
  ['api-key:#secret', 'api-key:…'],
  ['api-key:#secret\nof two lines', 'api-key:…'],
  ['api-key:#AAAAAAAAAAAAAAAAAAAAAA', 'api-key:#AAAAAAAAAAAAAAAAAAAAAA'],
  ['user:42', 'user:42'],
])('the entry %j is shown as %j', (entry, shown) => {
  expect(masked(entry)).toBe(shown);
});
