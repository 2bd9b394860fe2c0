/** The header fields that count in requests and answers, for the OpenAPI document. */

/** A header field, as JSON schema says what it holds. */
export interface FieldSchema {
  readonly type: 'string' | 'integer';
  readonly description: string;
}

const fields = <F extends Readonly<Record<string, FieldSchema>>>(headers: F) => ({ headers });
const ETag = { type: 'string', description: 'Names what it is now; to be sent as If-Match or If-None-Match.' } as const;
const Location = { type: 'string', description: 'The path of what is new.' } as const;
const seconds = { type: 'integer', description: 'Seconds after which to try again.' } as const;

/** Of answers that have an entity tag. */
export const etagField = fields({ ETag });
/** Of what was written and was not there before. */
export const createdFields = fields({ ETag, Location });
export const retryAfter = fields({ 'Retry-After': seconds });

const ofLimit = {
  'X-RateLimit-Limit': {
    type: 'integer',
    description: 'Units per window. Other fields by --headers; none without a limit.',
  },
  'X-RateLimit-Remaining': { type: 'integer', description: 'Whole units that could be taken now.' },
  'X-RateLimit-Reset': { type: 'integer', description: 'Seconds since the epoch: when all units are there again.' },
} as const;

/** Of decisions. */
export const limitFields = fields(ofLimit);
/** Of refusals. */
export const refusalFields = fields({
  ...ofLimit,
  'Retry-After': { ...seconds, description: 'Seconds after which it passes; absent where it never does.' },
});

/** Of a read with If-None-Match. */
export const unchanged = {
  304: { description: 'It is as the client has it already.', type: 'null', ...etagField },
} as const;

/** Header fields of reads. */
export const readFields = {
  type: 'object',
  properties: {
    'If-None-Match': { type: 'string', description: 'The ETag that the client has: if it is still that, 304.' },
  },
} as const;

/** Header fields of writes. */
export const writeFields = {
  type: 'object',
  properties: {
    'If-Match': { type: 'string', description: 'Writes only what has that ETag; * only what is there.' },
    'If-None-Match': { type: 'string', description: 'Only *: writes only what is not there yet.' },
  },
} as const;
