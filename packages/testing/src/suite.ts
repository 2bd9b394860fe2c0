/** The test function of a runner: that of vitest, `node:test`, jest and others. */
export interface TestFunction {
  (name: string, run: () => Promise<void>): unknown;
  /** Reports a case that is not run. Without it, the case is reported as an empty test under the same name. */
  skip?: ((name: string, run: () => Promise<void>) => unknown) | undefined;
}

/** One case of a suite. */
export interface SuiteCase {
  readonly title: string;
  run(): Promise<void>;
  /** Why the case cannot be run here. */
  readonly skipped?: string;
}

/**
 * Declares the cases as tests. One that is left out is never silent: it appears with the reason behind its title.
 * @throws Error for a `skip` that names no case, or gives no reason.
 */
export function declareCases(
  suite: string,
  test: TestFunction,
  cases: readonly SuiteCase[],
  skip: Readonly<Record<string, string>>,
): void {
  const titles = cases.map(({ title }) => title);
  for (const [title, reason] of Object.entries(skip)) {
    if (!titles.includes(title)) {
      throw new Error(`${suite}: 'skip' names no case: ${JSON.stringify(title)}. The cases are:\n${titles.join('\n')}`);
    }
    if (typeof reason !== 'string' || reason.trim() === '') {
      throw new Error(`${suite}: 'skip' needs a reason for ${JSON.stringify(title)}.`);
    }
  }
  for (const { title, run, skipped } of cases) {
    const reason = skip[title] ?? skipped;
    if (reason === undefined) test(title, run);
    else (test.skip ?? test)(`${title} (skipped: ${reason})`, async () => {});
  }
}
