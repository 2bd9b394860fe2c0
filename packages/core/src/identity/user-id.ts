/** The id of what an application has for a user: an object with an `id` or `sub`. */
export function userIdOf(user: unknown): string | undefined {
  if (typeof user !== 'object' || user === null) return undefined;
  const { id, sub } = user as { id?: unknown; sub?: unknown };
  return identifierOf(id) ?? objectIdOf(id) ?? identifierOf(sub) ?? objectIdOf(sub);
}

/** A text or a number that names somebody. */
export function identifierOf(value: unknown): string | undefined {
  if (typeof value === 'string') return value === '' ? undefined : value;
  return Number.isFinite(value) || typeof value === 'bigint' ? String(value) : undefined;
}

/** The text of what a database has for ids: an object that writes itself, or bytes. */
function objectIdOf(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  if (value instanceof Uint8Array) return hex(value);
  if (typeof value.toString !== 'function' || value.toString === Object.prototype.toString) return undefined;
  const text = String(value);
  // Bytes that are taken for a text lose what cannot be one, and different ids would be the same.
  return text === '' || text.includes('\ufffd') ? undefined : text;
}

function hex(bytes: Uint8Array): string | undefined {
  let text = '';
  for (const byte of bytes) text += byte.toString(16).padStart(2, '0');
  return text === '' ? undefined : text;
}
