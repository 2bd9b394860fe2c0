import { answering } from './answering.js';
import { type CheckBody, checkOf } from './check-body.js';
import { lacksAddress } from './failures.js';
import { limitFields, refusalFields } from './field-schemas.js';
import type { Routes } from './route-parts.js';
import { batchSchema, checkSchema, problems, reportSchema } from './schemas.js';
import { simulationOf, simulationResource } from './simulation.js';
import { checkUserId, userQuery } from './user-id.js';

const decided = {
  200: { description: 'The request may pass.', $ref: 'Answer#', ...limitFields },
  429: { description: 'The request may not pass.', $ref: 'Answer#', ...refusalFields },
  ...problems,
};

const unavailable = { 503: { description: 'The store cannot be asked now.', $ref: 'Problem#' } };

/** Decisions on requests to other services. */
export const checkRoutes: Routes = (app, { decider, access, metrics }) => {
  const decide = answering(decider, metrics);

  app.post<{ Body: CheckBody }>(
    '/ratelimit/check',
    {
      onRequest: access.requires('check'),
      schema: {
        summary: 'Decides on a request, and charges it',
        tags: ['decisions'],
        body: checkSchema,
        response: decided,
      },
    },
    ({ body }, reply) => decide(reply, checkOf(body), 429, 429),
  );

  app.post<{ Body: { checks: CheckBody[] } }>(
    '/ratelimit/check/batch',
    {
      onRequest: access.requires('check'),
      schema: {
        summary: 'Decides on up to 1,000 requests, in order',
        description: 'Each is decided as by itself, the earlier ones first. If any is not valid, none is charged.',
        tags: ['decisions'],
        body: batchSchema,
        response: {
          200: {
            description: 'An answer for each check, in their order.',
            type: 'object',
            required: ['results'],
            properties: { results: { type: 'array', items: { $ref: 'Answer#' } } },
          },
          ...problems,
        },
      },
    },
    async ({ body }) => {
      const checks = body.checks.map((check, i) => checkOf(check, (field) => ({ pointer: `/checks/${i}/${field}` })));
      const lacking = await decider.uncountable(checks);
      if (lacking !== undefined) throw lacksAddress(`/checks/${lacking}`);
      const begun = performance.now();
      const answered = await decider.checkAll(checks);
      const each = (performance.now() - begun) / 1_000 / checks.length;
      for (let i = 0; i < checks.length; i++) metrics.decisionTook(each);
      return { results: answered.map(({ answer }) => answer) };
    },
  );

  app.post<{ Body: CheckBody & { cost: number } }>(
    '/ratelimit/report',
    {
      onRequest: access.requires('check'),
      schema: {
        summary: 'Charges what a request has cost, known only afterwards',
        description:
          'It is charged whether the limits have it or not, as far as their capacity goes: who has overdrawn is refused ' +
          'until it has come back. allowed tells whether the limits had it all.',
        tags: ['decisions'],
        body: reportSchema,
        response: {
          200: { description: 'It is charged.', $ref: 'Answer#', ...limitFields },
          ...unavailable,
          ...problems,
        },
      },
    },
    async ({ body }, reply) => {
      const { answer, headers } = await decider.report(checkOf(body), body.cost);
      return reply.headers(headers).send(answer);
    },
  );

  app.post<{ Body: CheckBody }>(
    '/ratelimit/simulate',
    {
      onRequest: access.requires('check'),
      schema: {
        summary: 'Tells what a check would be answered, and why; charges nothing',
        tags: ['decisions'],
        body: checkSchema,
        response: {
          200: { description: 'The answer, with its explanation.', ...simulationResource },
          ...unavailable,
          ...problems,
        },
      },
    },
    async ({ body }) => {
      const { answer, explanation } = await decider.simulate(checkOf(body));
      return simulationOf(answer, explanation);
    },
  );

  app.get<{ Querystring: { user_id: string } }>(
    '/check',
    {
      onRequest: access.requires('check'),
      schema: {
        summary: 'Decides on a request of a user, by the limits of that user',
        tags: ['users'],
        querystring: userQuery,
        response: decided,
      },
    },
    ({ query }, reply) => {
      checkUserId(query.user_id);
      return decide(reply, { userId: query.user_id }, 429, 429);
    },
  );
};
