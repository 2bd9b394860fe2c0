import { stateOf } from './policy-state.js';
import { statusResource } from './resource-schemas.js';
import type { Routes } from './route-parts.js';
import { problems } from './schemas.js';
import { checkUserId, unknownUser, userIdSchema } from './user-id.js';

const params = { type: 'object', required: ['user_id'], properties: { user_id: userIdSchema } } as const;
const failing = {
  404: { description: 'There is no such user.', $ref: 'Problem#' },
  503: { description: 'The user, or what he has taken, cannot be read now.', $ref: 'Problem#' },
};

interface StatusRequest {
  Params: { user_id: string };
}

/** What users have taken from the policies. */
export const statusRoutes: Routes = (app, { decider, access, users }) => {
  /** Who has been counted may be unknown all the same: there was no room to register him, or he was not seen for long. */
  const userOf = async (id: string) => {
    checkUserId(id);
    const user = await users.find(id);
    const states = await decider.status(user ?? { id, limits: undefined });
    if (user === undefined && states.every(({ state }) => state.resetAfter === 0)) throw unknownUser(id);
    return { user: user ?? { id, limits: undefined }, states };
  };

  app.get<StatusRequest>(
    '/ratelimit/status/:user_id',
    {
      onRequest: access.requires('check'),
      schema: {
        summary: 'The state of every policy for a user',
        tags: ['decisions'],
        params,
        response: { 200: { description: 'One state for each policy.', ...statusResource }, ...failing, ...problems },
      },
    },
    async (request) => {
      const { user, states } = await userOf(request.params.user_id);
      const policies = states.map(({ rule, state }) => ({
        policy: state.policy,
        rule: rule ?? null,
        ...stateOf(state),
      }));
      return { user_id: user.id, policies };
    },
  );

  app.delete<StatusRequest>(
    '/ratelimit/status/:user_id',
    {
      onRequest: access.requires('admin'),
      schema: {
        summary: 'Forgets what a user has taken from every policy',
        tags: ['decisions'],
        params,
        response: { 204: { description: 'It is forgotten.', type: 'null' }, ...failing, ...problems },
      },
    },
    async (request, reply) => {
      const { user } = await userOf(request.params.user_id);
      await decider.reset(user);
      return reply.code(204).send();
    },
  );
};
