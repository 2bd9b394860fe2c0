import { SluiceError } from '@sluice/core';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { ListName, StoredEntry } from '../configuration/configuration.js';
import { entryOf } from '../configuration/list-entry.js';
import { Problem } from '../problem.js';
import { instantOf, invalid } from '../validation.js';
import type { Routes } from './route-parts.js';
import { anyObject, noQuery, problems, unchanged } from './schemas.js';
import { actorOf, etagOf, expectedOf, expectedOfRemoval, isUnchanged, preconditionFailed } from './versions.js';

/** Entries that a list may have. */
const most = 100_000;

interface EntryRequest {
  Params: { list: ListName; entry: string; bits?: string };
  Body: { expires_at?: string; note?: string } | null;
}

const list = { type: 'string', enum: ['allow', 'block'] } as const;
const entry = {
  type: 'string',
  minLength: 1,
  maxLength: 4_200,
  description: 'An address, a CIDR range, user:… with the id of a user, or api-key:… with an API key, or its digest.',
} as const;

const bodySchema = {
  type: ['object', 'null'],
  additionalProperties: false,
  properties: {
    expires_at: { type: 'string', format: 'date-time', description: 'When the entry ends. Without: never.' },
    note: { type: 'string', maxLength: 1_000 },
  },
} as const;

/** The lists of clients that are never limited, and of those that are always refused. */
export const listRoutes: Routes = (app, { rules, access, settings }) => {
  const authorise = async (request: FastifyRequest) => void access.authorise(request, 'admin');
  const fixed = {
    allow: new Set(settings.lists.allow.map(entryOf)),
    block: new Set(settings.lists.block.map(entryOf)),
  };

  app.get<{ Params: { list: ListName }; Querystring: { limit: number; after?: string } }>(
    '/ratelimit/lists/:list',
    {
      onRequest: authorise,
      schema: {
        summary: 'All entries of a list',
        tags: ['lists'],
        params: { type: 'object', required: ['list'], properties: { list } },
        querystring: {
          type: 'object',
          additionalProperties: false,
          properties: {
            limit: { type: 'integer', minimum: 1, maximum: 10_000, default: 1_000 },
            after: { type: 'string', maxLength: 300, description: 'The entry after which the page begins.' },
          },
        },
        response: {
          200: { description: 'A page; next is the entry to go on after.', ...anyObject },
          ...unchanged,
          ...problems,
        },
      },
    },
    async (request, reply) => {
      const { params, query } = request;
      const { limit, after = '' } = query;
      const { version } = rules.current;
      const current = rules.current[params.list];
      // Within one version, entries only end: their number tells which are left.
      const tag = `"${version}-${current.size}"`;
      reply.header('etag', tag);
      if (isUnchanged(request, tag)) return reply.code(304).send();
      const own = [...current.values()].map((stored) => [stored.entry, shown(stored)] as const);
      const ofFile = [...fixed[params.list]].map((text) => [text, { entry: text, origin: 'file' }] as const);
      const all = [...own, ...ofFile].filter(([id]) => id > after).sort(([a], [b]) => (a < b ? -1 : 1));
      const next = all.length > limit ? all[limit - 1]![0] : undefined;
      return reply.send({ entries: all.slice(0, limit).map(([, one]) => one), ...(next !== undefined && { next }) });
    },
  );

  // The slash of a range stands as it is, or is escaped.
  for (const url of ['/ratelimit/lists/:list/:entry', '/ratelimit/lists/:list/:entry/:bits']) {
    const hide = url.endsWith(':bits');
    const params = {
      type: 'object',
      required: ['list', 'entry'],
      properties: { list, entry, ...(hide && { bits: { type: 'string', maxLength: 3 } }) },
    };
    const unknown = { 404: { description: 'There is no such entry.', $ref: 'Problem#' } };
    const writes = {
      409: { description: 'It stands in the configuration file, or the list is full.', $ref: 'Problem#' },
      412: { description: 'It is not as If-Match or If-None-Match expects.', $ref: 'Problem#' },
      503: { description: 'The lists cannot be written now; nothing has changed.', $ref: 'Problem#' },
      ...problems,
    };

    app.get<EntryRequest>(
      url,
      {
        onRequest: authorise,
        schema: {
          hide,
          summary: 'One entry',
          tags: ['lists'],
          params,
          querystring: noQuery,
          response: { 200: { description: 'The entry.', ...anyObject }, ...unchanged, ...unknown, ...problems },
        },
      },
      async (request, reply) => {
        const id = idOf(request.params);
        const stored = rules.current[request.params.list].get(id);
        if (stored !== undefined) {
          const tag = etagOf(stored.version);
          reply.header('etag', tag);
          return isUnchanged(request, tag) ? reply.code(304).send() : reply.send(shown(stored));
        }
        if (fixed[request.params.list].has(id)) return reply.send({ entry: id, origin: 'file' });
        throw unknownEntry(request.params.list, id);
      },
    );

    app.put<EntryRequest>(
      url,
      {
        onRequest: authorise,
        schema: {
          hide,
          summary: 'Puts an entry on a list, or changes when it ends',
          tags: ['lists'],
          params,
          querystring: noQuery,
          body: bodySchema,
          response: {
            200: { description: 'The entry.', ...anyObject },
            201: { description: 'The new entry.', ...anyObject },
            ...writes,
          },
        },
      },
      async (request, reply) => {
        const id = idOf(request.params);
        const { list: kind } = request.params;
        checkFixed(kind, id, fixed[kind]);
        const { expires_at: expiresAt, note } = request.body ?? {};
        if (expiresAt !== undefined && instantOf(expiresAt)! <= Date.now()) {
          throw invalid([{ pointer: '/expires_at', detail: 'It is past, so that the entry would say nothing.' }]);
        }
        const { current } = rules;
        if (!current[kind].has(id) && current[kind].size >= most) {
          throw new Problem(
            409,
            'Conflict',
            `The list has ${most} entries, which is as many as there may be. List ranges, or delete some.`,
          );
        }
        const value = {
          entry: id,
          ...(expiresAt !== undefined && { expiresAt: new Date(expiresAt).toISOString() }),
          ...(note !== undefined && { note }),
        };
        const actor = actorOf(access.authorise(request, 'admin'), request);
        const written = await rules.write({ kind, id, value }, actor, expectedOf(request, 'anything'));
        if (written.outcome === 'conflict') throw preconditionFailed();
        const stored = written.entry.after as StoredEntry;
        return reply
          .code(written.entry.before === null ? 201 : 200)
          .header('etag', etagOf(stored.version))
          .send(shown(stored));
      },
    );

    app.delete<Omit<EntryRequest, 'Body'>>(
      url,
      {
        onRequest: authorise,
        schema: {
          hide,
          summary: 'Takes an entry off a list',
          tags: ['lists'],
          params,
          querystring: noQuery,
          response: { 204: { description: 'It is off.', type: 'null' }, ...unknown, ...writes },
        },
      },
      async (request, reply): Promise<FastifyReply> => {
        const id = idOf(request.params);
        const { list: kind } = request.params;
        checkFixed(kind, id, fixed[kind]);
        const actor = actorOf(access.authorise(request, 'admin'), request);
        const written = await rules.write({ kind, id, value: null }, actor, expectedOfRemoval(request));
        if (written.outcome === 'written') return reply.code(204).send();
        throw written.found === null ? unknownEntry(kind, id) : preconditionFailed();
      },
    );
  }
};

/** @throws Problem 400 for what names nobody. */
function idOf({ entry, bits }: EntryRequest['Params']): string {
  try {
    return entryOf(bits === undefined ? entry : `${entry}/${bits}`);
  } catch (error) {
    if (!(error instanceof SluiceError)) throw error;
    const detail = error.message.replace(/^The list:? ?/, '');
    throw new Problem(400, 'Invalid request', `entry: ${detail}`, [{ parameter: 'entry', detail }]);
  }
}

function shown({ entry, expiresAt, note, version, createdAt }: StoredEntry): object {
  return {
    entry,
    expires_at: expiresAt ?? null,
    ...(note !== undefined && { note }),
    origin: 'api',
    version,
    created_at: createdAt,
  };
}

function checkFixed(list: ListName, id: string, fixed: ReadonlySet<string>): void {
  if (!fixed.has(id)) return;
  throw new Problem(
    409,
    'Conflict',
    `'${id}' stands on the ${list} list of the configuration file. Change it there, and restart.`,
  );
}

function unknownEntry(list: ListName, id: string): Problem {
  return new Problem(404, 'Not found', `'${id}' is not on the ${list} list.`);
}
