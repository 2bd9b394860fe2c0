import { type AlgorithmName, type CompiledLimit, compilePolicies, type Policy, type PolicyText } from '@sluice/core';

/** A Trial is one limiter to be tried: its policies, as written and as understood. */
export type Trial = readonly TrialPolicy[];

export interface TrialPolicy {
  readonly text: string;
  readonly compiled: CompiledLimit;
}

/**
 * Makes a trial of each policy with each algorithm, or, with `together`, one of all policies for each algorithm.
 * Without an algorithm, a policy takes its default.
 * @throws SluiceError for a policy or an algorithm that there is not.
 */
export function trialsOf(
  policies: readonly string[],
  algorithms: readonly string[] = [],
  together = false,
): readonly Trial[] {
  const names: readonly (string | undefined)[] = algorithms.length === 0 ? [undefined] : algorithms;
  const read = (text: string, algorithm: string | undefined): TrialPolicy => ({
    text: text.trim(),
    // The text and the name are anybody's until they have been through here.
    compiled: compilePolicies([text as PolicyText], '--policy', { algorithm: algorithm as AlgorithmName })[0]!,
  });
  if (together) return names.map((algorithm) => policies.map((text) => read(text, algorithm)));
  return policies.flatMap((text) => names.map((algorithm) => [read(text, algorithm)]));
}

/** The policies of a trial for a limiter, under names of their own: two may have the same window. */
export function policiesOf(trial: Trial): Policy[] {
  return trial.map(({ compiled: { algorithm, limit, windowMs, capacity } }, i) => ({
    name: `policy-${i + 1}`,
    algorithm,
    limit,
    window: windowMs,
    ...(capacity !== limit && { burst: capacity }),
  }));
}

/** How a trial is called: `60/1m token-bucket`. */
export function titleOf(trial: Trial): string {
  return trial.map(({ text, compiled }) => `${text} ${compiled.algorithm}`).join(' + ');
}
