import { defineConfig } from 'vitest/config';

export default defineConfig({
  // Tests run from the sources: every package maps the `source` condition to its src folder.
  resolve: { conditions: ['source'] },
  ssr: { resolve: { conditions: ['source'], externalConditions: ['source'] } },
  test: {
    include: ['packages/*/test/**/*.test.ts', 'test/**/*.test.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // Tests wait for servers more than they compute; by default one of two processors would stay idle.
    maxWorkers: 2,
    server: { deps: { inline: [/@sluice\//] } },
  },
});
