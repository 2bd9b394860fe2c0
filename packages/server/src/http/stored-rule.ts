import type { StoredRule } from '../configuration/configuration.js';

/** A rule as JSON has it. */
export function shownRule({ rule, version, createdAt, updatedAt }: StoredRule): object {
  return { ...rule, origin: 'api', version, created_at: createdAt, updated_at: updatedAt };
}
