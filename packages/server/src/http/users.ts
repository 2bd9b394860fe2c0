import type { Decision } from '@sluice/core';
import { limitWords, parseLimits, policyLimits } from '../users/limits.js';
import type { User } from '../users/user.js';
import { invalidParameter } from '../validation.js';
import { retryAfter } from './field-schemas.js';
import { stateOf } from './policy-state.js';
import { userOrPage } from './resource-schemas.js';
import type { RouteParts, Routes } from './route-parts.js';
import { problems } from './schemas.js';
import { checkUserId, unknownUser, userIdSchema, userQuery } from './user-id.js';
import { actorOf } from './versions.js';

const unavailable = {
  503: { description: 'Users cannot be read or written now.', $ref: 'Problem#', ...retryAfter },
};
const full = { 507: { description: 'There are as many users as there may be, all with limits.', $ref: 'Problem#' } };
const unknown = { 404: { description: 'There is no such user.', $ref: 'Problem#' } };

/** Texts, since 1e3 and 0x10 are numbers to some and not to others. */
const limitParameters = Object.fromEntries(limitWords.map((word) => [word, { type: 'string', maxLength: 40 }]));

/** Users and their own limits. */
export const userRoutes: Routes = (app, { users, decider, access, settings }) => {
  app.get<{ Querystring: { user_id?: string; limit: number; cursor?: string } }>(
    '/users',
    {
      onRequest: access.requires('admin'),
      schema: {
        summary: 'The limits and the state of a user; without user_id, a page of all users',
        tags: ['users'],
        querystring: {
          type: 'object',
          additionalProperties: false,
          properties: {
            user_id: userIdSchema,
            limit: { type: 'integer', minimum: 1, maximum: 1_000, default: 100 },
            cursor: { type: 'string', maxLength: 600, description: 'Of the page before: its next.' },
          },
        },
        response: {
          200: { description: 'The user, or a page of users.', ...userOrPage },
          ...unknown,
          ...unavailable,
          ...problems,
        },
      },
    },
    async ({ query }) => {
      const { user_id: id, limit, cursor } = query;
      if (id === undefined) {
        const page = await users.page(limit, cursor);
        return {
          users: page.users.map((user) => configurationOf(user, settings)),
          ...(page.next !== undefined && { next: page.next }),
        };
      }
      if (cursor !== undefined) {
        const detail = 'It goes on with a page of users, and user_id asks for one. Leave out one of the two.';
        throw invalidParameter('cursor', detail);
      }
      checkUserId(id);
      const user = await users.find(id);
      if (user === undefined) throw unknownUser(id);
      const states = await decider.status(user);
      const own = states.find(({ rule, state }) => rule === undefined && isOwn(state));
      return { ...configurationOf(user, settings), state: own === undefined ? null : stateOf(own.state) };
    },
  );

  app.post<{ Querystring: { user_id: string } & Record<string, string> }>(
    '/users',
    {
      onRequest: access.requires('admin'),
      schema: {
        summary: 'Gives a user limits of his own',
        description:
          'max_tokens and refill_rate (per second) make a token bucket, capacity and leak_rate a leaky bucket. Who was not ' +
          'known is from now on. What the user has taken stays taken, but for who changes from one kind of bucket to the ' +
          'other: that one begins as it was left, or full.',
        tags: ['users'],
        querystring: {
          type: 'object',
          additionalProperties: false,
          required: ['user_id'],
          properties: { user_id: userIdSchema, ...limitParameters },
        },
        response: { 200: { description: 'The user.', $ref: 'User#' }, ...unavailable, ...full, ...problems },
      },
    },
    async (request) => {
      const { query } = request;
      const { user_id: id } = query;
      checkUserId(id);
      const user = await users.set(id, parseLimits(query));
      request.log.info({ by: actorOf(request), user: id, limits: user.limits }, 'a user has new limits');
      return configurationOf(user, settings);
    },
  );

  app.delete<{ Querystring: { user_id: string } }>(
    '/users',
    {
      onRequest: access.requires('admin'),
      schema: {
        summary: 'Removes a user, with limits and state',
        tags: ['users'],
        querystring: userQuery,
        response: { 204: { description: 'The user is gone.', type: 'null' }, ...unknown, ...unavailable, ...problems },
      },
    },
    async (request, reply) => {
      const { query } = request;
      const { user_id: id } = query;
      checkUserId(id);
      const user = await users.find(id);
      if (user === undefined) throw unknownUser(id);
      // In this order: with the limits, it would not be known any more which state there is.
      await decider.reset(user);
      await users.remove(id);
      request.log.info({ by: actorOf(request), user: id }, 'a user was removed');
      return reply.code(204).send();
    },
  );
};

function isOwn({ policy }: Decision): boolean {
  return policy === 'default' || policy === 'override';
}

/** A user's limits as they are set: own ones, or the default ones. */
function configurationOf({ id, limits, createdAt, updatedAt }: User, settings: RouteParts['settings']): object {
  const { defaults } = settings;
  const { algorithm, ...numbers } = limits ?? policyLimits(defaults) ?? defaults;
  return {
    user_id: id,
    custom: limits !== undefined,
    algorithm,
    ...numbers,
    created_at: createdAt,
    updated_at: updatedAt,
  };
}
