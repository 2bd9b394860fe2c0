import { Problem } from '../problem.js';
import { invalidParameter } from '../validation.js';

/** Characters, as JSON schema counts them: code points. */
const longest = 256;

export const userIdSchema = { type: 'string', minLength: 1, maxLength: longest } as const;

/** A query that names a user, and nothing else. */
export const userQuery = {
  type: 'object',
  additionalProperties: false,
  required: ['user_id'],
  properties: { user_id: userIdSchema },
} as const;

/** What keeps an id from naming a user; `undefined` for nothing. */
export function userIdFault(id: string): string | undefined {
  if (!isText(id)) return 'It must be text without control characters.';
  if (isLonger(id, longest)) return `It must have at most ${longest} characters.`;
  if (id.trim() !== id) return 'It must not begin or end with space.';
  if (id.includes('\ufffd')) {
    return 'It has a character U+FFFD, which stands for bytes that were no text: many ids would be one. Send it as UTF-8.';
  }
  // What is kept of ids that are too long for a key, or have other characters than one may have.
  if (/^#[\w-]{22}$/.test(id)) {
    return 'It looks like a digest, which the service makes of other ids: # and 22 characters. Choose another id.';
  }
  return undefined;
}

/** @throws Problem 400 for what names no user. */
export function checkUserId(id: string): void {
  const detail = userIdFault(id);
  if (detail !== undefined) throw invalidParameter('user_id', detail);
}

/** Whether it is text that has an encoding, and that a log can show. */
export function isText(text: string): boolean {
  return !/[\p{Surrogate}\p{Cc}]/u.test(text);
}

/** Whether it has more characters than that, as JSON schema counts them. */
export function isLonger(text: string, most: number): boolean {
  return text.length > most && (text.length > 2 * most || [...text].length > most);
}

export function unknownUser(id: string): Problem {
  return new Problem(
    404,
    'Not found',
    `There is no user ${JSON.stringify(id)}. Users are known from their first request on.`,
  );
}
