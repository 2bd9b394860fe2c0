import { ruleSchema } from '../configuration/rule-schema.js';

/** The form of what the service answers besides decisions, for the OpenAPI document and for serialisation. */

const instant = { type: 'string', description: 'RFC 3339, in UTC.' } as const;
const version = {
  type: 'integer',
  description: 'Of the rules and lists as a whole, in which it came to be as it is.',
} as const;
const origin = {
  type: 'string',
  enum: ['api', 'file'],
  description: 'What stands in the configuration file can only be changed there.',
} as const;
const next = { type: 'string', description: 'What to go on with; absent on the last page.' } as const;

const object = <P extends object>(properties: P, required: readonly (keyof P & string)[]) => ({
  type: 'object',
  additionalProperties: false,
  required,
  properties,
});

export const ruleResource = {
  $id: 'StoredRule',
  ...object(
    {
      ...ruleSchema.properties,
      origin,
      version,
      created_at: instant,
      updated_at: instant,
      inactive: { type: 'string', description: 'Why it is not in force; absent where it is.' },
      dry_run: { type: 'boolean', description: 'It was only checked.' },
    },
    ['id', 'endpoint'],
  ),
} as const;

export const rulePage = object({ version, rules: { type: 'array', items: { $ref: 'StoredRule#' } }, next }, [
  'version',
  'rules',
]);

export const entryResource = {
  $id: 'ListEntry',
  ...object(
    {
      entry: { type: 'string', description: 'API keys are digests: api-key:#….' },
      expires_at: { type: ['string', 'null'], description: 'RFC 3339; null for never.' },
      note: { type: 'string' },
      origin,
      version,
      created_at: instant,
    },
    ['entry'],
  ),
} as const;

export const entryPage = object({ entries: { type: 'array', items: { $ref: 'ListEntry#' } }, next }, ['entries']);

const anyPart = { type: ['object', 'null'], additionalProperties: true } as const;

export const auditPage = object(
  {
    entries: {
      type: 'array',
      items: object(
        {
          version,
          at: instant,
          by: {
            type: 'string',
            description: 'The scope of the token and how its SHA-256 digest begins, or loopback; and the address.',
          },
          rule: { type: 'string' },
          list: { type: 'string' },
          entry: { type: 'string' },
          recovered_from: { type: 'string', description: 'What was gone on with after writes were lost.' },
          before: anyPart,
          after: anyPart,
        },
        ['version', 'at', 'by', 'before', 'after'],
      ),
    },
    next: { type: 'integer', description: "The 'before' to go on with; absent on the last page." },
  },
  ['entries'],
);

/** What is in force after a recovery, in numbers. */
export const recoveryResource = object(
  {
    version,
    from: { type: 'string' },
    rules: { type: 'integer' },
    allow: { type: 'integer' },
    block: { type: 'integer' },
  },
  ['version', 'from', 'rules', 'allow', 'block'],
);

const policyState = {
  limit: { type: 'integer' },
  remaining: { type: 'integer' },
  reset_at: { type: ['string', 'null'] },
  refused: { type: 'boolean', description: 'Whether a request of cost 1 would be refused now.' },
  retry_after: { type: ['integer', 'null'] },
  source: { type: 'string' },
} as const;

const stateNames = ['limit', 'remaining', 'reset_at', 'refused', 'retry_after', 'source'] as const;

export const statusResource = object(
  {
    user_id: { type: 'string' },
    policies: {
      type: 'array',
      items: object({ policy: { type: 'string' }, rule: { type: ['string', 'null'] }, ...policyState }, [
        'policy',
        'rule',
        ...stateNames,
      ]),
    },
  },
  ['user_id', 'policies'],
);

export const userResource = {
  $id: 'User',
  ...object(
    {
      user_id: { type: 'string' },
      custom: { type: 'boolean', description: 'Whether the limits are his own, or the default ones.' },
      algorithm: { type: 'string' },
      max_tokens: { type: 'integer' },
      refill_rate: { type: 'number', description: 'Tokens per second.' },
      capacity: { type: 'integer' },
      leak_rate: { type: 'number', description: 'Units per second.' },
      limit: { type: 'integer' },
      window: { type: ['string', 'integer'] },
      burst: { type: 'integer' },
      created_at: instant,
      updated_at: instant,
      state: { ...object(policyState, stateNames), type: ['object', 'null'] },
    },
    ['user_id', 'custom', 'algorithm', 'created_at', 'updated_at'],
  ),
} as const;

/** A user, or a page of users. */
export const userOrPage = {
  anyOf: [{ $ref: 'User#' }, object({ users: { type: 'array', items: { $ref: 'User#' } }, next }, ['users'])],
} as const;

const count = { type: 'integer' } as const;

export const seriesPage = object(
  {
    from: instant,
    to: instant,
    by: { type: 'string' },
    step: { type: 'string' },
    series: {
      type: 'array',
      items: object(
        {
          name: { type: 'string' },
          points: {
            type: 'array',
            items: object(
              {
                at: instant,
                allowed: count,
                refused: count,
                shadow_refused: count,
                sources: { type: 'object', additionalProperties: count },
              },
              ['at', 'allowed', 'refused', 'shadow_refused', 'sources'],
            ),
          },
        },
        ['name', 'points'],
      ),
    },
  },
  ['from', 'to', 'by', 'step', 'series'],
);

export const topPage = object(
  {
    by: { type: 'string' },
    window: { type: 'string' },
    top: {
      type: 'array',
      items: object({ key: { type: 'string' }, count, error: count }, ['key', 'count', 'error']),
    },
  },
  ['by', 'window', 'top'],
);

/** Every resource that others refer to. */
export const resources = [ruleResource, entryResource, userResource] as const;
