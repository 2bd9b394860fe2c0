import { version } from '../version.js';
import { type FieldSchema, retryAfter } from './field-schemas.js';

interface Content {
  readonly schema: { readonly $ref?: string };
}

interface Response {
  readonly description: string;
  content?: Readonly<Record<string, Content>>;
  readonly headers?: Readonly<Record<string, object>>;
}

interface Operation {
  readonly requestBody?: object;
  responses: Record<string, Response>;
}

/** What the document says of the service as a whole. */
export const description = {
  openapi: '3.1.0',
  info: {
    title: 'Sluice',
    description: 'The rate limit service.',
    version,
    license: { name: 'MIT', identifier: 'MIT' },
  },
  components: {
    securitySchemes: {
      token: {
        type: 'http' as const,
        scheme: 'bearer',
        description: 'Of one of two scopes: checks, or administration, which includes checks.',
      },
      password: {
        type: 'http' as const,
        scheme: 'basic',
        description:
          'The same tokens as the password, for clients that know no other way; the name counts for nothing.',
      },
    },
  },
  // Without tokens of a scope, none is needed.
  security: [{ token: [] }, { password: [] }, {}] as Record<string, string[]>[],
  tags: [
    { name: 'decisions', description: 'May this request pass?' },
    { name: 'users', description: 'Limits of single users.' },
    { name: 'rules', description: 'What is granted, and who changed it.' },
    { name: 'lists', description: 'Who is never limited, and who is always refused.' },
    { name: 'monitoring', description: 'What was decided, and how the service is.' },
  ],
};

const problemType = 'application/problem+json';
const problem: Content = { schema: { $ref: '#/components/schemas/Problem' } };

/** Adds to the document what is the same everywhere: the media type of problems, and those that any request can meet. */
export function completed<D extends { paths?: object | undefined }>(document: D): D {
  for (const path of Object.values(document.paths ?? {})) {
    for (const operation of Object.values(path as object) as Operation[]) {
      for (const response of Object.values(operation.responses)) retype(response);
      for (const [status, text] of Object.entries(anywhere(operation))) addProblem(operation, status, text);
    }
  }
  return document;
}

function anywhere({ responses, requestBody }: Operation): Readonly<Record<string, string>> {
  return {
    ...(responses['403'] && { 403: 'The token is of another scope, or the request comes from another machine.' }),
    ...(responses['403'] && { 429: 'The address has sent more requests than the service itself takes of one.' }),
    ...(requestBody && { 413: 'The body is too long.', 415: 'The body is of another media type.' }),
    default: 'The request has failed, as the details tell.',
  };
}

function retype(response: Response): void {
  const json = response.content?.['application/json'];
  if (json !== undefined && json.schema.$ref === problem.schema.$ref) response.content = { [problemType]: json };
}

function addProblem({ responses }: Operation, status: string, description: string): void {
  const { description: own, content, ...more } = responses[status] ?? {};
  if (content?.[problemType] !== undefined) return;
  responses[status] = {
    ...(status === '429' && { headers: documented(retryAfter) }),
    ...more,
    description: own === undefined ? description : `${own} As problem details: ${lowerFirst(description)}`,
    content: { ...content, [problemType]: problem },
  };
}

/** Header fields as the document has them. */
function documented({ headers }: { headers: Readonly<Record<string, FieldSchema>> }): Record<string, object> {
  const entries = Object.entries(headers);
  return Object.fromEntries(entries.map(([name, { description, ...schema }]) => [name, { description, schema }]));
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}
