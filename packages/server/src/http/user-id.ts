import { Problem } from '../problem.js';
import { isUserId } from './check-body.js';

export const userIdSchema = { type: 'string', minLength: 1, maxLength: 256 } as const;

/** A query that names a user, and nothing else. */
export const userQuery = {
  type: 'object',
  additionalProperties: false,
  required: ['user_id'],
  properties: { user_id: userIdSchema },
} as const;

/** @throws Problem 400 for what no text is. */
export function checkUserId(id: string): void {
  if (isUserId(id)) return;
  const detail = 'It must be text without control characters.';
  throw new Problem(400, 'Invalid request', `user_id: ${detail}`, [{ parameter: 'user_id', detail }]);
}

export function unknownUser(id: string): Problem {
  return new Problem(
    404,
    'Not found',
    `There is no user ${JSON.stringify(id)}. Users are known from their first request on.`,
  );
}
