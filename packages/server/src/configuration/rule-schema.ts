import { algorithmNames } from '@sluice/core/toolkit';

const entries = {
  type: 'array',
  maxItems: 10_000,
  items: { type: 'string', minLength: 1, maxLength: 300 },
} as const;

/** The JSON schema of a rule as it is written: its form. What the words and numbers may be together is checked apart. */
export const ruleSchema = {
  $id: 'Rule',
  type: 'object',
  description: 'Which requests a rule is about, and what it grants them.',
  additionalProperties: false,
  required: ['endpoint'],
  properties: {
    id: {
      type: 'string',
      pattern: '^[A-Za-z0-9_-]{1,48}$',
      description:
        'Names the rule, and its policy in decisions and header fields: 1 to 48 characters of A-Z a-z 0-9 _ -.',
    },
    description: { type: 'string', maxLength: 1_000 },
    endpoint: {
      type: 'string',
      minLength: 1,
      maxLength: 2_000,
      description: 'A path such as /login, /files/:id or /uploads/*; * is any. No spelling of a path escapes its rule.',
    },
    methods: {
      type: 'array',
      minItems: 1,
      maxItems: 40,
      uniqueItems: true,
      items: { type: 'string', minLength: 1, maxLength: 20 },
      description: 'Without: any method. HEAD counts as GET.',
    },
    tier: {
      type: 'string',
      pattern: '^[A-Za-z0-9_-]{1,48}$',
      description: 'The one tier it is for, before a rule for all. Without: every tier, and requests that have none.',
    },
    algorithm: {
      type: 'string',
      enum: algorithmNames,
      description: 'Default: sliding-window-counter; with a burst, token-bucket.',
    },
    limit: {
      type: 'integer',
      minimum: 0,
      maximum: 1_000_000_000,
      description: 'Units per window; 0 refuses everything.',
    },
    window: {
      type: 'string',
      minLength: 1,
      maxLength: 40,
      description: 'A duration from 1ms to 366d, such as 500ms, 10s, 1m, 1h or 1d.',
    },
    burst: {
      type: 'integer',
      minimum: 1,
      maximum: 1_000_000_000,
      description: 'Units that may be taken at once, of the two buckets. Default: limit.',
    },
    unlimited: { type: 'boolean', const: true, description: 'Instead of limit and window: no limit.' },
    mode: {
      type: 'string',
      enum: ['enforce', 'shadow', 'off'],
      description: 'shadow counts and refuses nobody; off is as if the rule were not there. Default: enforce.',
    },
    priority: {
      type: 'integer',
      minimum: -1_000,
      maximum: 1_000,
      description:
        'Of several rules that match, the one of the highest priority applies, then the most specific. Default: 0.',
    },
    identity: {
      type: 'string',
      enum: ['api-key', 'user', 'ip'],
      description: 'Who is counted. Default: the API key, else the user, else the address.',
    },
    lists: {
      type: 'object',
      additionalProperties: false,
      description:
        'Whom this rule never limits, and whom it always refuses: addresses, CIDR ranges, user:…, api-key:….',
      properties: { allow: entries, block: entries },
    },
  },
} as const;
