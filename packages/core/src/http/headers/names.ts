import { SluiceError, show } from '../../errors.js';
import { checkNames } from '../../options.js';
import type { HeaderStyle } from '../headers.js';
import { type Field, fieldsOf } from './styles.js';

/** Other names for header fields, by their own; `false` for a field that is not sent. */
export type HeaderNames = Readonly<Record<string, string | false>>;

/** What a response says with these must not be overwritten with a limit. */
const taken = new Set([
  'access-control-expose-headers',
  'cache-control',
  'connection',
  'content-encoding',
  'content-length',
  'content-type',
  'date',
  'location',
  'retry-after',
  'set-cookie',
  'transfer-encoding',
  'upgrade',
  'vary',
]);

/**
 * Checks what fields are to be called, whatever they are.
 * @throws SluiceError `INVALID_OPTION` for what is neither `false` nor a name that can be sent. RFC 9110, 5.1.
 */
export function checkHeaderNames(names: HeaderNames, where: string): void {
  for (const [field, name] of Object.entries(names)) {
    if (name === false) continue;
    if (typeof name !== 'string' || !/^[!#$%&'*+.^_`|~\w-]+$/.test(name)) {
      throw new SluiceError(
        'INVALID_OPTION',
        `${where}: ${show(field)} takes another name for the field, like 'X-Quota', or false for none; got ${show(name)}.`,
      );
    }
    if (taken.has(name.toLowerCase()) && name.toLowerCase() !== field.toLowerCase()) {
      throw new SluiceError(
        'INVALID_OPTION',
        `${where}: ${show(field)} cannot be called ${show(name)}, which means something else. Choose another name.`,
      );
    }
  }
}

/** @throws SluiceError for a name that is of none of the fields, and for two fields that would have one name. */
export function checkHeaderNamesOf(fields: readonly Field[], names: HeaderNames, where: string): void {
  const known = [...new Set(fields.map(({ name }) => name)), 'Retry-After'];
  for (const name of Object.keys(names)) {
    const style = known.includes(name) ? undefined : styleOf(name);
    if (style === undefined) continue;
    throw new SluiceError(
      'INVALID_OPTION',
      `${where}: ${show(name)} is a field of ${show(style)}, which 'headers' does not choose. Leave it out, or add the style.`,
    );
  }
  checkNames(names, known, where, "{ 'Retry-After': false }");
  const owners = new Map<string, string>();
  for (const field of known) {
    const sent = sentAs(field, names);
    if (sent === undefined) continue;
    const other = owners.get(sent.toLowerCase());
    if (other !== undefined) {
      throw new SluiceError(
        'INVALID_OPTION',
        `${where}: ${show(other)} and ${show(field)} are both sent as ${show(sent)}. Give each a name of its own.`,
      );
    }
    owners.set(sent.toLowerCase(), field);
  }
}

/** The fields that are sent, under the names that they are sent under. */
export function renamed(fields: readonly Field[], names: HeaderNames): readonly Field[] {
  return fields.flatMap((field) => {
    const name = sentAs(field.name, names);
    return name === undefined ? [] : [{ ...field, name }];
  });
}

/** The name under which a field is sent; `undefined` where it is not. */
export function sentAs(field: string, names: HeaderNames): string | undefined {
  const name = Object.hasOwn(names, field) ? names[field]! : field;
  return name === false ? undefined : name;
}

function styleOf(field: string): HeaderStyle | undefined {
  const styles = Object.keys(fieldsOf) as HeaderStyle[];
  return styles.find((style) => fieldsOf[style]().some(({ name }) => name === field));
}
