import { SluiceError } from '@sluice/core';
import { show } from '@sluice/core/toolkit';
import type { AuditEntry, Change, Kind, StoredEntry, StoredRule } from './configuration.js';
import { endOf, kinds, type Stored, storedAs } from './contents.js';

/**
 * What Redis keeps of an id is a text: the format, the version, when it was created, when it was changed and, where it
 * ends, when, in milliseconds, and what was written as JSON, which scripts pass on as it is.
 *
 * @throws SluiceError `UNUSABLE_STATE` for what is no such text.
 */
export function storedOf(kind: Kind, id: string, text: string, key: string): Stored {
  const [, version, created, updated, json] = /^1 (\d+) (\d+) (\d+) (?:\d+ )?(\{.*)$/s.exec(text) ?? [];
  if (json === undefined) throw unreadable(text, `what ${key} has under ${show(id)}`);
  try {
    const moments = { version: Number(version), createdAt: instant(created!), updatedAt: instant(updated!) };
    return storedAs(kind, JSON.parse(json), moments);
  } catch (cause) {
    throw unreadable(text, `what ${key} has under ${show(id)}`, cause);
  }
}

/** The text of what is as it was, in another version. */
export function textOf(kind: Kind, stored: Stored, version: number): string {
  const value = writtenOf(kind, stored);
  const created = Date.parse(stored.createdAt);
  const updated = 'updatedAt' in stored ? Date.parse(stored.updatedAt) : created;
  return `1 ${version} ${created} ${updated} ${[endText(value), JSON.stringify(value)].filter(Boolean).join(' ')}`;
}

/** When a value ends, as a script compares it: '' for never, and for what is no instant. */
export function endText(value: Change['value']): string {
  const end = value === null ? Number.POSITIVE_INFINITY : endOf(value);
  return Number.isFinite(end) ? String(Math.max(0, end)) : '';
}

function writtenOf(kind: Kind, stored: Stored): NonNullable<Change['value']> {
  if (kind === 'rules') return (stored as StoredRule).rule;
  const { version, createdAt, ...written } = stored as StoredEntry;
  return written;
}

/** An entry of the audit log, of the id and the fields of an entry of the stream. */
export function entryOf(streamId: string, fields: readonly string[], key: string): AuditEntry {
  const of = new Map<string, string>();
  for (let i = 0; i + 1 < fields.length; i += 2) of.set(fields[i]!, fields[i + 1]!);
  const [at, by, kind, id, before, after] = ['at', 'by', 'kind', 'id', 'before', 'after'].map((name) => of.get(name));
  const text = `${streamId} ${fields.join(' ')}`;
  const isKnown = kind === 'recovery' || kinds.includes(kind as Kind);
  if (of.get('format') !== '1' || !isKnown || after === undefined) {
    throw unreadable(text, `an entry of ${key}`);
  }
  const stored = (value: string) => (value === '' ? null : storedOf(kind as Kind, id!, value, key));
  return {
    version: Number.parseInt(streamId, 10),
    at: instant(at!),
    by: by!,
    kind: kind as AuditEntry['kind'],
    id: id!,
    before: stored(before!),
    after: stored(after),
  };
}

export function unreadable(text: string, what: string, cause?: unknown): SluiceError {
  return new SluiceError(
    'UNUSABLE_STATE',
    `Redis: ${what} is not of format 1, which this version of sluice reads, but ${show(text)}. ` +
      "Update sluice if a newer one wrote it; else restore it from a backup, or give the service a 'prefix' of its own.",
    { cause },
  );
}

function instant(milliseconds: string): string {
  return new Date(Number(milliseconds)).toISOString();
}
