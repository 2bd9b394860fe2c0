import { defineConfig } from 'vitest/config';

export default defineConfig({
  // Tests run from the sources: every package maps the `source` condition to its src folder.
  resolve: { conditions: ['source'] },
  ssr: { resolve: { conditions: ['source'], externalConditions: ['source'] } },
  test: {
    include: ['packages/*/test/**/*.test.ts', 'test/**/*.test.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    server: { deps: { inline: [/@sluice\//] } },
  },
});
