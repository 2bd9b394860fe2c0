import type { AuditEntry, Kind } from './configuration.js';
import { kinds, type Stored } from './contents.js';

/** A write, as the journal tells it. A file loses none, so that none of its entries tells of a recovery. */
export interface FileEntry extends AuditEntry {
  readonly kind: Kind;
}

/**
 * One line of the journal. A journal that was never compacted has writes alone, which are the audit log. A compacted
 * one begins with a `base` and what was `kept` in that version; the writes that follow lead from there to the present.
 * So a write is told of once, and whether it is history or state makes no difference.
 */
export type ConfigurationRecord =
  | { readonly format: 1; readonly type: 'base'; readonly version: number }
  | { readonly format: 1; readonly type: 'kept'; readonly kind: Kind; readonly id: string; readonly value: Stored }
  | { readonly format: 1; readonly type: 'write'; readonly entry: FileEntry };

type Fields = { readonly [name: string]: unknown };

/** Whether what was read is a record of a journal of rules. One of another format is, for the store to tell. */
export function isConfigurationRecord(value: unknown): value is ConfigurationRecord {
  const { format, type, version, kind, id, value: stored, entry } = fieldsOf(value);
  if (format !== 1) return typeof format === 'number';
  if (type === 'base') return isVersion(version);
  if (type === 'kept') return isStored(kind, id, stored);
  return type === 'write' && isEntry(fieldsOf(entry));
}

function isEntry({ version, at, by, kind, id, before, after }: Fields): boolean {
  const parts = [before, after].every((part) => part === null || isStored(kind, id, part));
  return (
    isVersion(version) && isInstant(at) && typeof by === 'string' && isKind(kind) && typeof id === 'string' && parts
  );
}

function isStored(kind: unknown, id: unknown, value: unknown): boolean {
  const { rule, entry, version, createdAt, updatedAt } = fieldsOf(value);
  if (!isKind(kind) || typeof id !== 'string' || !isVersion(version) || !isInstant(createdAt)) return false;
  if (kind !== 'rules') return entry === id;
  const { id: own, endpoint } = fieldsOf(rule);
  return own === id && typeof endpoint === 'string' && isInstant(updatedAt);
}

function fieldsOf(value: unknown): Fields {
  return typeof value === 'object' && value !== null ? (value as Fields) : {};
}

function isKind(value: unknown): boolean {
  return kinds.includes(value as Kind);
}

function isVersion(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isInstant(value: unknown): boolean {
  return typeof value === 'string' && !Number.isNaN(Date.parse(value));
}
