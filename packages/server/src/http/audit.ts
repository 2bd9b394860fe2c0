import type { AuditEntry } from '../configuration/configuration.js';
import { auditPage } from './resource-schemas.js';
import type { Routes } from './route-parts.js';
import { problems } from './schemas.js';
import { shownRule } from './stored-rule.js';

/** Who changed the rules and lists. */
export const auditRoutes: Routes = (app, { rules, access }) => {
  app.get<{ Querystring: { limit: number; before?: number } }>(
    '/ratelimit/audit',
    {
      onRequest: access.requires('admin'),
      schema: {
        summary: 'Who changed what, the latest first',
        tags: ['rules'],
        querystring: {
          type: 'object',
          additionalProperties: false,
          properties: {
            limit: { type: 'integer', minimum: 1, maximum: 1_000, default: 100 },
            before: { type: 'integer', minimum: 1, description: 'Only changes before that version.' },
          },
        },
        response: {
          200: { description: 'Each with what was before and after.', ...auditPage },
          503: { description: 'The log cannot be read now.', $ref: 'Problem#' },
          ...problems,
        },
      },
    },
    async ({ query }) => {
      const entries = await rules.audit(query.limit, query.before);
      const oldest = entries.at(-1)?.version ?? 1;
      const hasMore = oldest > 1 && (await rules.audit(1, oldest)).length > 0;
      return { entries: entries.map(audited), ...(hasMore && { next: oldest }) };
    },
  );
};

function audited({ version, at, by, kind, id, before, after }: AuditEntry): object {
  if (kind === 'recovery') return { version, at, by, recovered_from: id, before: null, after: null };
  const target = kind === 'rules' ? { rule: id } : { list: kind, entry: id };
  return { version, at, by, ...target, before: shownPart(before), after: shownPart(after) };
}

function shownPart(part: AuditEntry['before']): object | null {
  if (part === null) return null;
  if ('rule' in part) return shownRule(part);
  const { entry, expiresAt, note } = part;
  return { entry, expires_at: expiresAt ?? null, ...(note !== undefined && { note }) };
}
