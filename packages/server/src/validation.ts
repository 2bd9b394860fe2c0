import { nearest } from '@sluice/core/toolkit';
import { Ajv, type ErrorObject, type ValidateFunction } from 'ajv';
import { instantOf } from './instants.js';
import { Problem, type ProblemPart } from './problem.js';

/** Where in a request something is. */
export type Place = 'body' | 'querystring' | 'params' | 'headers';

/** Parts that are told of at once. */
const most = 100;

const common = {
  allErrors: true,
  removeAdditional: false,
  strictTypes: false,
  useDefaults: true,
  verbose: true,
} as const;
/** JSON says itself what is a number; parameters of a URL are texts. */
const strict = withFormats(new Ajv({ ...common, coerceTypes: false }));
const lenient = withFormats(new Ajv({ ...common, coerceTypes: true }));

function withFormats(ajv: Ajv): Ajv {
  ajv.addFormat('date-time', (text: string) => instantOf(text) !== undefined);
  // Words of OpenAPI that say nothing about validity.
  ajv.addVocabulary(['example']);
  return ajv;
}

/** Compiles a JSON schema for that place. */
export function compileSchema(schema: object, place: Place): ValidateFunction {
  return (place === 'body' ? strict : lenient).compile(schema);
}

/** What a validator has found, as parts of a problem. */
export function partsOf(errors: readonly ErrorObject[], place: Place, root = ''): readonly ProblemPart[] {
  // Why each of several alternatives is not met is told by the one that says that none is.
  const choices = errors.filter(({ keyword }) => keyword === 'anyOf').map(({ schemaPath }) => `${schemaPath}/`);
  const told = errors.filter(({ schemaPath }) => !choices.some((choice) => schemaPath.startsWith(choice)));
  return told.slice(0, most).map((error) => {
    const pointer = root + pointerOf(error);
    const detail = detailOf(error);
    return place === 'body' ? { pointer, detail } : { parameter: pointer.slice(root.length + 1), detail };
  });
}

/** @throws Problem for a body that does not have the form. */
export function checkForm(validate: ValidateFunction, value: unknown, pointer: string): void {
  if (validate(value)) return;
  throw invalid(partsOf(validate.errors ?? [], 'body', pointer));
}

/** The problem of a request of which some parts are wrong. */
export function invalid(parts: readonly ProblemPart[]): Problem {
  const [first] = parts;
  const where = first?.pointer ?? first?.parameter;
  const detail = first === undefined ? 'The request is not valid.' : `${where ? `${where}: ` : ''}${first.detail}`;
  return new Problem(400, 'Invalid request', detail, parts);
}

/** The problem of a request of which one parameter is wrong: of the query, the path, or a header field. */
export function invalidParameter(parameter: string, detail: string): Problem {
  return invalid([{ parameter, detail }]);
}

function pointerOf({ instancePath, keyword, params }: ErrorObject): string {
  if (keyword === 'additionalProperties') return `${instancePath}/${escaped(params.additionalProperty)}`;
  if (keyword === 'required' && params.missingProperty) return `${instancePath}/${escaped(params.missingProperty)}`;
  return instancePath;
}

function escaped(name: string): string {
  return name.slice(0, 100).replaceAll('~', '~0').replaceAll('/', '~1');
}

function detailOf({ keyword, params, message, parentSchema }: ErrorObject): string {
  switch (keyword) {
    case 'additionalProperties':
      return `There is no such field. ${remedyFor(String(params.additionalProperty), parentSchema?.properties)}`;
    case 'required':
      return 'This field is missing.';
    case 'enum':
      return `It must be one of ${(params.allowedValues as unknown[]).join(', ')}.`;
    case 'const':
      return `It must be ${JSON.stringify(params.allowedValue)}, or be left out.`;
    case 'format':
      return 'It must be an instant in RFC 3339, such as 2026-11-21T18:00:00Z.';
    case 'anyOf':
      return 'It names nobody: at least one of user_id, api_key and ip is needed.';
    case 'type':
      return `It must be ${params.type === 'integer' ? 'an integer' : `of type ${params.type}`}.`;
    default:
      return `It ${message ?? 'is not valid'}.`;
  }
}

function remedyFor(name: string, properties: object | undefined): string {
  const names = Object.keys(properties ?? {});
  if (names.length === 0) return 'None is taken here.';
  return nearest(name.slice(0, 100), names) ?? `There are: ${names.join(', ')}.`;
}
