import { randomBytes } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Expected, RuleDocument, StoredRule } from '../configuration/configuration.js';
import { meets } from '../configuration/contents.js';
import type { LiveRules } from '../configuration/live-rules.js';
import { parseRule } from '../configuration/rule-document.js';
import { ruleSchema } from '../configuration/rule-schema.js';
import { Problem } from '../problem.js';
import { invalid } from '../validation.js';
import { createdFields, etagField, readFields, unchanged, writeFields } from './field-schemas.js';
import { type PageQuery, pageOf, pageQuery } from './pages.js';
import { rulePage } from './resource-schemas.js';
import type { Routes } from './route-parts.js';
import { problems } from './schemas.js';
import { shownRule } from './stored-rule.js';
import { actorOf, etagOf, expectedOf, expectedOfRemoval, isUnchanged, preconditionFailed } from './versions.js';

/** Rules that there may be. */
const most = 10_000;

const writes = {
  409: { description: 'Another rule has that id, or matches the same requests.', $ref: 'Problem#' },
  412: { description: 'It is not as If-Match or If-None-Match expects.', $ref: 'Problem#' },
  503: { description: 'The rules cannot be written now; nothing has changed.', $ref: 'Problem#' },
  ...problems,
};

const dryRun = {
  type: 'object',
  additionalProperties: false,
  properties: { dry_run: { type: 'boolean', description: 'Only checks, and answers as if it were written.' } },
} as const;

const ruleId = {
  type: 'object',
  required: ['id'],
  properties: { id: { type: 'string', pattern: '^[A-Za-z0-9_-]{1,48}$' } },
} as const;

interface Write {
  Params: { id: string };
  Querystring: { dry_run?: boolean };
  Body: unknown;
}

/** The rules, and who changed what. */
export const ruleRoutes: Routes = (app, { rules, access, settings }) => {
  const fixed = new Map(settings.rules.map((rule) => [rule.id, rule]));

  const write = async (rule: RuleDocument, request: FastifyRequest<Write>, reply: FastifyReply, expected: Expected) => {
    const rival = rules.rivalOf(rule);
    if (rival !== undefined) throw new Problem(409, 'Conflict', rival, [{ pointer: '/endpoint', detail: rival }]);
    const before = rules.current.rules.get(rule.id);
    if (before === undefined && rules.current.rules.size >= most) {
      throw new Problem(
        409,
        'Conflict',
        `There are ${most} rules already, which is as many as there may be. Delete some.`,
      );
    }
    if (request.query.dry_run) {
      if (!meets(expected, before ?? null)) throw refused(request, before);
      return reply.code(200).send({ ...rule, dry_run: true });
    }
    const written = await rules.write({ kind: 'rules', id: rule.id, value: rule }, actorOf(request), expected);
    if (written.outcome === 'conflict') throw refused(request, written.found as StoredRule | null);
    const stored = written.entry.after as StoredRule;
    if (written.entry.before === null) reply.code(201).header('location', `/ratelimit/rules/${rule.id}`);
    return reply.header('etag', etagOf(stored.version)).send(shownRule(stored));
  };

  app.post<Write>(
    '/ratelimit/rules',
    {
      onRequest: access.requires('admin'),
      schema: {
        summary: 'Adds a rule',
        description: 'It is live on every instance within a second. Without an id it is given one.',
        tags: ['rules'],
        querystring: dryRun,
        body: ruleSchema,
        response: {
          201: { description: 'The rule, with its id.', $ref: 'StoredRule#', ...createdFields },
          200: { description: 'As it would be.', $ref: 'StoredRule#' },
          ...writes,
        },
      },
    },
    async (request, reply) => {
      const rule = parseRule({ id: `rule-${randomBytes(5).toString('hex')}`, ...(request.body as object) });
      checkFixed(rule.id, fixed);
      return write(rule, request, reply, 'absent');
    },
  );

  app.get<{ Querystring: PageQuery }>(
    '/ratelimit/rules',
    {
      onRequest: access.requires('admin'),
      schema: {
        summary: 'All rules, by their ids',
        tags: ['rules'],
        headers: readFields,
        querystring: pageQuery('id', most, 48),
        response: {
          200: { description: 'A page; next is the id to go on after.', ...rulePage, ...etagField },
          ...unchanged,
          ...problems,
        },
      },
    },
    async (request, reply) => {
      const { version } = rules.current;
      reply.header('etag', etagOf(version));
      if (isUnchanged(request, etagOf(version))) return reply.code(304).send();
      const { page, ...more } = pageOf(allRules(rules, fixed), request.query);
      return reply.send({ version, rules: page, ...more });
    },
  );

  app.get<{ Params: { id: string } }>(
    '/ratelimit/rules/:id',
    {
      onRequest: access.requires('admin'),
      schema: {
        summary: 'One rule',
        tags: ['rules'],
        params: ruleId,
        headers: readFields,
        response: {
          200: { description: 'The rule.', $ref: 'StoredRule#', ...etagField },
          ...unchanged,
          404: { description: 'There is no such rule.', $ref: 'Problem#' },
          ...problems,
        },
      },
    },
    async (request, reply) => {
      const { id } = request.params;
      const stored = rules.current.rules.get(id);
      if (stored !== undefined) {
        reply.header('etag', etagOf(stored.version));
        return isUnchanged(request, etagOf(stored.version)) ? reply.code(304).send() : reply.send(shownRule(stored));
      }
      const own = fixed.get(id);
      if (own === undefined) throw unknownRule(id);
      return reply.send({ ...own, origin: 'file' });
    },
  );

  app.put<Write>(
    '/ratelimit/rules/:id',
    {
      onRequest: access.requires('admin'),
      schema: {
        summary: 'Writes a rule, be there one of that id or not',
        description: 'If-Match writes only what has that ETag, If-None-Match: * only what is not there yet.',
        tags: ['rules'],
        params: ruleId,
        headers: writeFields,
        querystring: dryRun,
        body: ruleSchema,
        response: {
          200: { description: 'The rule.', $ref: 'StoredRule#', ...etagField },
          201: { description: 'The new rule.', $ref: 'StoredRule#', ...createdFields },
          ...writes,
        },
      },
    },
    async (request, reply) => {
      const { id } = request.params;
      checkFixed(id, fixed);
      const body = request.body as Partial<RuleDocument>;
      if (body.id !== undefined && body.id !== id) {
        throw invalid([{ pointer: '/id', detail: `It must be '${id}', as in the path, or be left out.` }]);
      }
      return write(parseRule({ ...body, id }), request, reply, expectedOf(request, 'anything'));
    },
  );

  app.delete<Omit<Write, 'Body'>>(
    '/ratelimit/rules/:id',
    {
      onRequest: access.requires('admin'),
      schema: {
        summary: 'Removes a rule',
        tags: ['rules'],
        params: ruleId,
        headers: writeFields,
        querystring: dryRun,
        response: {
          204: { description: 'It is gone.', type: 'null' },
          404: { description: 'There is no such rule.', $ref: 'Problem#' },
          ...writes,
        },
      },
    },
    async (request, reply) => {
      const { id } = request.params;
      checkFixed(id, fixed);
      const before = rules.current.rules.get(id);
      const expected = expectedOfRemoval(request);
      if (request.query.dry_run) {
        if (before === undefined) throw unknownRule(id);
        if (!meets(expected, before ?? null)) throw preconditionFailed(request, before);
        return reply.code(204).send();
      }
      const written = await rules.write({ kind: 'rules', id, value: null }, actorOf(request), expected);
      if (written.outcome === 'written') return reply.code(204).send();
      throw written.found === null ? unknownRule(id) : preconditionFailed(request, written.found);
    },
  );
};

function* allRules(rules: LiveRules, fixed: ReadonlyMap<string, RuleDocument>): Iterable<[string, object]> {
  for (const [id, stored] of rules.current.rules) {
    const inactive = rules.inactive(id);
    yield [id, inactive === undefined ? shownRule(stored) : { ...shownRule(stored), inactive }];
  }
  for (const [id, rule] of fixed) yield [id, { ...rule, origin: 'file' }];
}

function refused(request: FastifyRequest, found: StoredRule | null | undefined): Problem {
  if (request.method === 'POST' && found) {
    const detail = `There is a rule '${found.rule.id}' already. Replace it: PUT /ratelimit/rules/${found.rule.id}.`;
    return new Problem(409, 'Conflict', detail, [{ pointer: '/id', detail }]);
  }
  return preconditionFailed(request, found);
}

/** @throws Problem 409 for a rule that stands in the configuration file. */
function checkFixed(id: string, fixed: ReadonlyMap<string, RuleDocument>): void {
  if (!fixed.has(id)) return;
  throw new Problem(
    409,
    'Conflict',
    `The rule '${id}' stands in the configuration file. Change it there, and restart.`,
  );
}

function unknownRule(id: string): Problem {
  return new Problem(404, 'Not found', `There is no rule '${id}'.`);
}
