import { SluiceError } from '@sluice/core';
import type { FastifyReply } from 'fastify';
import type { ListName, StoredEntry } from '../configuration/configuration.js';
import { entryOf } from '../configuration/list-entry.js';
import { instantOf } from '../instants.js';
import { Problem } from '../problem.js';
import { invalid, invalidParameter } from '../validation.js';
import { etagField, readFields, unchanged, writeFields } from './field-schemas.js';
import { type PageQuery, pageOf, pageQuery } from './pages.js';
import { entryPage } from './resource-schemas.js';
import type { Routes } from './route-parts.js';
import { problems } from './schemas.js';
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
export const listRoutes: Routes = (app, { rules, access, settings, clock }) => {
  // The body of a PUT is optional, and clients that always say that they send JSON may send none.
  const parseJson = app.getDefaultJsonParser('error', 'error');
  app.addContentTypeParser<string>('application/json', { parseAs: 'string' }, (request, text, done) => {
    if (text === '') done(null, null);
    else parseJson(request, text, done);
  });
  const fixed = {
    allow: new Set(settings.lists.allow.map(entryOf)),
    block: new Set(settings.lists.block.map(entryOf)),
  };

  app.get<{ Params: { list: ListName }; Querystring: PageQuery }>(
    '/ratelimit/lists/:list',
    {
      onRequest: access.requires('admin'),
      schema: {
        summary: 'All entries of a list',
        tags: ['lists'],
        params: { type: 'object', required: ['list'], properties: { list } },
        headers: readFields,
        querystring: pageQuery('entry', 10_000, 300),
        response: {
          200: { description: 'A page; next is the entry to go on after.', ...entryPage, ...etagField },
          ...unchanged,
          ...problems,
        },
      },
    },
    async (request, reply) => {
      const { params, query } = request;
      const { version } = rules.current;
      const current = rules.current[params.list];
      // Within one version, entries only end: their number tells which are left.
      const tag = `"${version}-${current.size}"`;
      reply.header('etag', tag);
      if (isUnchanged(request, tag)) return reply.code(304).send();
      const own = [...current.values()].map((stored) => [stored.entry, shown(stored)] as const);
      const ofFile = [...fixed[params.list]].map((text) => [text, { entry: text, origin: 'file' }] as const);
      const { page, ...more } = pageOf([...own, ...ofFile], query);
      return reply.send({ entries: page, ...more });
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
        onRequest: access.requires('admin'),
        schema: {
          hide,
          summary: 'One entry',
          tags: ['lists'],
          params,
          headers: readFields,
          response: {
            200: { description: 'The entry.', $ref: 'ListEntry#', ...etagField },
            ...unchanged,
            ...unknown,
            ...problems,
          },
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
        onRequest: access.requires('admin'),
        schema: {
          hide,
          summary: 'Puts an entry on a list, or changes when it ends',
          tags: ['lists'],
          params,
          headers: writeFields,
          body: bodySchema,
          response: {
            200: { description: 'The entry.', $ref: 'ListEntry#', ...etagField },
            201: { description: 'The new entry.', $ref: 'ListEntry#', ...etagField },
            ...writes,
          },
        },
      },
      async (request, reply) => {
        const id = idOf(request.params);
        const { list: kind } = request.params;
        checkFixed(kind, id, fixed[kind]);
        const { expires_at: expiresAt, note } = request.body ?? {};
        if (expiresAt !== undefined && instantOf(expiresAt)! <= clock.now() / 1_000) {
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
        const written = await rules.write({ kind, id, value }, actorOf(request), expectedOf(request, 'anything'));
        if (written.outcome === 'conflict') throw preconditionFailed(request, written.found);
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
        onRequest: access.requires('admin'),
        schema: {
          hide,
          summary: 'Takes an entry off a list',
          tags: ['lists'],
          params,
          headers: writeFields,
          response: { 204: { description: 'It is off.', type: 'null' }, ...unknown, ...writes },
        },
      },
      async (request, reply): Promise<FastifyReply> => {
        const id = idOf(request.params);
        const { list: kind } = request.params;
        checkFixed(kind, id, fixed[kind]);
        const written = await rules.write({ kind, id, value: null }, actorOf(request), expectedOfRemoval(request));
        if (written.outcome === 'written') return reply.code(204).send();
        throw written.found === null ? unknownEntry(kind, id) : preconditionFailed(request, written.found);
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
    throw invalidParameter('entry', error.message.replace(/^The list:? ?/, ''));
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
