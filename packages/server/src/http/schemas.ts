/** The form of checks and answers, for validation and for the OpenAPI document. */

export const problemSchema = {
  $id: 'Problem',
  type: 'object',
  description: 'Problem details, RFC 9457.',
  required: ['type', 'title', 'status', 'detail'],
  properties: {
    type: { type: 'string' },
    title: { type: 'string' },
    status: { type: 'integer' },
    detail: { type: 'string' },
    errors: {
      type: 'array',
      items: {
        type: 'object',
        required: ['detail'],
        properties: {
          pointer: { type: 'string', description: 'JSON pointer into the body, RFC 6901.' },
          parameter: {
            type: 'string',
            description: 'Name of the parameter of the query or path, or of the header field.',
          },
          detail: { type: 'string' },
        },
      },
    },
  },
} as const;

const who = {
  user_id: { type: 'string', minLength: 1, maxLength: 256, description: 'The user, as your service knows him.' },
  api_key: {
    type: 'string',
    minLength: 1,
    maxLength: 4_096,
    description:
      'The API key. Nothing but its digest is kept. With an ip, keys that are invented do not escape what the address may send.',
  },
  ip: { type: 'string', minLength: 2, maxLength: 45, description: 'The address of the client; IPv6 counts by /64.' },
} as const;

const what = {
  method: { type: 'string', pattern: '^[A-Za-z-]{1,20}$' },
  endpoint: {
    type: 'string',
    minLength: 1,
    maxLength: 8_192,
    description:
      'The request target as the client sent it, with or without its query. Without: only rules for * apply.',
  },
  tier: { type: 'string', minLength: 1, maxLength: 48 },
} as const;

const cost = { type: 'integer', minimum: 0, maximum: 1_000_000_000 } as const;

export const somebody = [{ required: ['user_id'] }, { required: ['api_key'] }, { required: ['ip'] }] as const;

export const checkSchema = {
  $id: 'Check',
  type: 'object',
  additionalProperties: false,
  anyOf: somebody,
  properties: {
    ...who,
    ...what,
    cost: { ...cost, description: 'Units that the request takes. Default: 1; 0 only looks.' },
  },
} as const;

export const reportSchema = {
  $id: 'Report',
  type: 'object',
  additionalProperties: false,
  required: ['cost'],
  anyOf: somebody,
  properties: {
    ...who,
    ...what,
    cost: { ...cost, description: 'Units that it has cost beyond what was charged before.' },
  },
} as const;

export const batchSchema = {
  $id: 'Batch',
  type: 'object',
  additionalProperties: false,
  required: ['checks'],
  properties: {
    checks: { type: 'array', minItems: 1, maxItems: 1_000, items: checkSchema, description: 'Decided in this order.' },
  },
} as const;

const nullable = (type: string) => ({ type: [type, 'null'] });

export const answerSchema = {
  $id: 'Answer',
  type: 'object',
  required: [
    'allowed',
    'reason',
    'rule',
    'policy',
    'limit',
    'remaining',
    'reset_at',
    'retry_after',
    'source',
    'delay_ms',
    'key',
    'tier',
  ],
  properties: {
    allowed: { type: 'boolean' },
    reason: { type: 'string', enum: ['granted', 'unlimited', 'allow-list', 'quota', 'block-list', 'unavailable'] },
    rule: { ...nullable('string'), description: 'Id of the rule that decided; null for the default limits.' },
    policy: { ...nullable('string'), description: 'Name of the policy; null where nothing limits the request.' },
    limit: { ...nullable('integer'), description: 'Units per window.' },
    remaining: { ...nullable('integer'), description: 'Whole units that could be taken now.' },
    reset_at: { ...nullable('string'), description: 'RFC 3339: when all units are there again; null for never.' },
    retry_after: { ...nullable('integer'), description: 'Seconds; 0 where it passed, null for never.' },
    source: { type: 'string', enum: ['store', 'lease', 'deny-cache', 'fallback', 'open', 'closed'] },
    delay_ms: { type: 'number', description: 'Milliseconds to wait before the request goes on, of a leaky bucket.' },
    key: { ...nullable('string'), description: 'Who is counted; API keys are digests.' },
    tier: { ...nullable('string') },
  },
} as const;

/** Where no parameter is taken: one that is misspelled, or of another endpoint, would else say nothing. */
export const noQuery = { type: 'object', additionalProperties: false, properties: {} } as const;

/** What can go wrong anywhere. */
export const problems = {
  400: { description: 'The request is not valid.', $ref: 'Problem#' },
  401: { description: 'A token is missing or unknown.', $ref: 'Problem#' },
  403: { description: 'The token is of another scope, or the request comes from another machine.', $ref: 'Problem#' },
} as const;
