import { describe, expect, it } from 'vitest';
import { addresses } from './addresses.ts';
import { type Framework, frameworks } from './apps.ts';
import { type Attempt, limit, Target } from './attack.ts';
import { bursts } from './bursts.ts';
import { identities } from './identities.ts';
import { lists } from './lists.ts';
import { methods } from './methods.ts';
import { mounts } from './mounts.ts';
import { paths } from './paths.ts';
import { penalties } from './penalties.ts';
import { refunds } from './refunds.ts';

const categories: Readonly<Record<string, readonly Attempt[]>> = {
  paths,
  mounts,
  methods,
  addresses,
  identities,
  lists,
  bursts,
  penalties,
  refunds,
};
const attempts = Object.values(categories).flat();

it('has at least sixty attempts, each with a title of its own', () => {
  expect(new Set(attempts.map(({ title }) => title)).size).toBe(attempts.length);
  expect(attempts.length).toBeGreaterThanOrEqual(60);
});

for (const framework of frameworks) {
  describe(`${framework.name} lets nobody past a limit`, () => {
    for (const [category, attempts] of Object.entries(categories)) {
      describe(`by ${category}:`, () => {
        for (const attempt of attempts) it(attempt.title, () => attack(framework, attempt));
      });
    }
  });
}

async function attack(framework: Framework, attempt: Attempt): Promise<void> {
  const { route = 'POST /login', most = limit } = attempt;
  const target = await Target.start(framework, attempt);
  try {
    await attempt.run(target);
    expect(target.reached(route)).toBeLessThanOrEqual(most);
  } finally {
    await target.close();
  }
}
