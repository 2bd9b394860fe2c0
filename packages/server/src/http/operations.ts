import { Problem } from '../problem.js';
import type { Routes } from './route-parts.js';
import { problems } from './schemas.js';

/** What operators and their tools ask for. */
export const operationRoutes: Routes = (app, { metrics, access, isClosing, notes }) => {
  const text = (description: string) => ({ description, content: { 'text/plain': { schema: { type: 'string' } } } });

  app.get(
    '/metrics',
    {
      onRequest: access.requires('check'),
      schema: {
        summary: 'Metrics in the text format of Prometheus',
        tags: ['monitoring'],
        response: { 200: text('The metrics.'), 401: problems[401] },
      },
    },
    async (_request, reply) => reply.header('content-type', metrics.contentType).send(await metrics.text()),
  );

  app.get(
    '/livez',
    { schema: { summary: 'Whether the process is alive', tags: ['monitoring'], response: { 200: text('It is.') } } },
    async (_request, reply) => reply.type('text/plain').send('ok\n'),
  );

  app.get(
    '/readyz',
    {
      schema: {
        summary: 'Whether requests should be sent here',
        tags: ['monitoring'],
        response: {
          200: text('They should.'),
          503: { description: 'They should not, for the reason given.', $ref: 'Problem#' },
        },
      },
    },
    async (_request, reply) => {
      if (isClosing()) throw new Problem(503, 'Service unavailable', 'The service is shutting down.');
      return reply.type('text/plain').send(['ready', ...notes()].map((line) => `${line}\n`).join(''));
    },
  );

  app.get('/openapi.json', { schema: { hide: true } }, async (_request, reply) => reply.send(app.swagger()));
};
