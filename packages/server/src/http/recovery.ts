import type { RecoverySource } from '../configuration/configuration.js';
import { recoveryResource } from './resource-schemas.js';
import type { Routes } from './route-parts.js';
import { problems } from './schemas.js';
import { actorOf } from './versions.js';

const body = {
  type: 'object',
  additionalProperties: false,
  required: ['from'],
  properties: {
    from: {
      type: 'string',
      enum: ['service', 'storage'],
      description: 'What goes on: the rules and lists in force in this instance, or those that the storage has left.',
    },
  },
} as const;

/** The way out after the storage has lost writes. */
export const recoveryRoutes: Routes = (app, { rules, access }) => {
  app.post<{ Body: { from: RecoverySource } }>(
    '/ratelimit/rules/recover',
    {
      onRequest: access.requires('admin'),
      schema: {
        summary: 'Says what goes on after the storage has lost writes',
        description:
          'A Redis that comes back empty, or without the latest writes, changes nothing that is in force, and nothing can ' +
          'be written until this says which of the two goes on. All instances follow within a second.',
        tags: ['rules'],
        body,
        response: {
          200: { description: 'What is in force now, in numbers.', ...recoveryResource },
          409: {
            description: 'Nothing is lost, or what is left cannot be read; nothing has changed.',
            $ref: 'Problem#',
          },
          503: { description: 'The rules cannot be written now.', $ref: 'Problem#' },
          ...problems,
        },
      },
    },
    async (request) => {
      const { from } = request.body;
      const { version } = await rules.recover(from, actorOf(request));
      const { rules: ofAll, allow, block } = rules.current;
      return { version, from, rules: ofAll.size, allow: allow.size, block: block.size };
    },
  );
};
