import type { Explanation } from '@sluice/core';
import type { Answer } from '../decisions/answer.js';
import { answerSchema } from './schemas.js';

const text = { type: 'string' } as const;
const textOrNull = { type: ['string', 'null'] } as const;

/** An answer and why it would be that one. */
export const simulationResource = {
  type: 'object',
  additionalProperties: false,
  required: [...answerSchema.required, 'explanation'],
  properties: {
    ...answerSchema.properties,
    explanation: {
      type: 'object',
      additionalProperties: false,
      required: ['outcome', 'summary', 'identity', 'list_entry', 'passes_at', 'policies'],
      properties: {
        outcome: { ...text, enum: ['skipped', 'unlimited', 'allow-listed', 'blocked', 'allowed', 'refused'] },
        summary: { ...text, description: 'All of it in a sentence.' },
        identity: {
          type: ['object', 'null'],
          additionalProperties: false,
          properties: { key: text, from: { ...text, enum: ['api-key', 'user', 'ip', 'key'] } },
        },
        list_entry: { ...textOrNull, description: 'The entry of a list that settled it.' },
        passes_at: { ...textOrNull, description: 'RFC 3339: when it would pass; null for never.' },
        policies: {
          type: 'array',
          items: {
            type: 'object',
            additionalProperties: false,
            required: ['policy', 'kind', 'endpoint', 'mode', 'key', 'cost', 'allowed', 'limit', 'remaining', 'source'],
            properties: {
              policy: text,
              kind: { ...text, enum: ['limit', 'ceiling', 'slot', 'block', 'ban'] },
              endpoint: { ...textOrNull, description: 'Of its rule, as it is written.' },
              mode: { ...text, enum: ['enforce', 'shadow'] },
              key: text,
              cost: { type: 'integer' },
              allowed: { type: 'boolean' },
              limit: { type: 'integer' },
              remaining: { type: 'integer' },
              source: text,
            },
          },
        },
      },
    },
  },
} as const;

/** The answer with its explanation, as JSON has it. */
export function simulationOf(answer: Answer, explanation: Explanation): object {
  const { outcome, identity, entry, policies, passesAt, summary } = explanation;
  return {
    ...answer,
    explanation: {
      outcome,
      summary,
      identity: identity ?? null,
      list_entry: entry ?? null,
      passes_at: passesAt?.toISOString() ?? null,
      policies: policies.map(({ policy, kind, rule, mode, key, cost, decision }) => {
        const { allowed, limit, remaining, source } = decision;
        return { policy, kind, endpoint: rule ?? null, mode, key, cost, allowed, limit, remaining, source };
      }),
    },
  };
}
