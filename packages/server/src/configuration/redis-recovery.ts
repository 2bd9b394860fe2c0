import { randomUUID } from 'node:crypto';
import { SluiceError } from '@sluice/core';
import { Problem } from '../problem.js';
import type { AuditEntry, Configuration, Kind, RecoverySource } from './configuration.js';
import { kinds, type Stored } from './contents.js';
import { type ConfigurationCalls, unavailable } from './redis-calls.js';
import { recoverScript, stageScript, surveyScript } from './redis-scripts.js';
import { entryOf, textOf } from './redis-values.js';

/** What a recovery needs of its store. */
export interface RecoveryParts {
  readonly calls: ConfigurationCalls;
  /** The highest version that was seen, and the name of the write that made it. */
  readonly seen: readonly [version: number, write: string];
  /** What Redis has left. @throws SluiceError `UNUSABLE_STATE` for what is not to be read. */
  readonly read: () => Promise<Configuration>;
  readonly auditLength: string;
  readonly auditBytes: string;
  readonly channel: string;
}

/**
 * Versions go on behind the next multiple: above what this process has seen, and what every other has, short of one that
 * has seen a million writes of which this one has not heard.
 */
const leap = 1_000_000;
/** Ids that are sent at once. */
const portion = 500;
/** Milliseconds after which what a process that has died had put together goes. */
const stagedFor = '60000';

/**
 * Ends a loss of writes. What is to go on is put together in hashes beside the others, which one script then puts in
 * their place, if nobody has changed anything meanwhile. Each value gets a version of its own, in the order of the ones
 * before: those may be the numbers of something else in other instances, and in ETags.
 */
export async function recover(
  { calls, seen, read, auditLength, auditBytes, channel }: RecoveryParts,
  from: RecoverySource,
  inForce: Configuration,
  by: string,
): Promise<AuditEntry> {
  for (let attempts = 3; attempts > 0; attempts--) {
    const survey = await calls.ask(() => calls.eval(surveyScript, [String(seen[0]), seen[1]]));
    const [[verdict, detail], token] = survey as [[string, unknown], string];
    if (verdict === 'version') throw nothingLost(detail);
    if (verdict === 'unreadable') throw unreadable('it is not of a format that this version of sluice reads.');
    const configuration = from === 'service' ? inForce : await readable(read);
    const highest = Math.max(seen[0], ...[...token.matchAll(/^1 (\d+)|\|(\d+)-/g)].map(([, a, b]) => Number(a ?? b)));
    const staged = stage(configuration, (Math.floor(highest / leap) + 1) * leap);
    const keys = await send(calls, staged);
    const sizes = staged.texts.map((texts) => String(texts.length));
    const args = [token, String(staged.version), ...sizes, by, from, auditLength, channel, auditBytes];
    const reply = await calls.write(recoverScript, args, keys);
    if (reply[0] === 'written') return entryOf(reply[1] as string, reply[2] as string[], calls.keys[4]!);
  }
  throw unavailable('Nothing was recovered: what Redis has has changed meanwhile, again and again. Try again.');
}

interface Staged {
  readonly version: number;
  /** Ids and texts, for each kind. */
  readonly texts: readonly (readonly [id: string, text: string])[][];
}

function stage(configuration: Configuration, base: number): Staged {
  const all: [kind: Kind, id: string, stored: Stored][] = kinds.flatMap((kind) =>
    [...configuration[kind]].map(([id, stored]): [Kind, string, Stored] => [kind, id, stored]),
  );
  all.sort(([, , a], [, , b]) => a.version - b.version);
  const texts = kinds.map((): [string, string][] => []);
  let version = base;
  for (const [kind, id, stored] of all) texts[kinds.indexOf(kind)]!.push([id, textOf(kind, stored, ++version)]);
  return { version, texts };
}

/** Puts the hashes together; resolves to their keys. Those of a process that dies meanwhile go by themselves. */
async function send(calls: ConfigurationCalls, { texts }: Staged): Promise<readonly string[]> {
  const name = randomUUID();
  const keys = kinds.map((kind) => calls.keys[0]!.replace(/version$/, `recovery:${name}:${kind}`));
  for (const [i, pairs] of texts.entries()) {
    for (let at = 0; at < pairs.length; at += portion) {
      const args = [stagedFor, ...pairs.slice(at, at + portion).flat()];
      await calls.ask(() => calls.evalOn([keys[i]!], stageScript, args));
    }
  }
  return keys;
}

async function readable(read: () => Promise<Configuration>): Promise<Configuration> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof SluiceError && error.code === 'UNUSABLE_STATE') throw unreadable(error.message);
    throw error;
  }
}

function nothingLost(version: unknown): Problem {
  return new Problem(
    409,
    'Nothing is lost',
    `Redis has version ${version} of the configuration, and all that this instance has seen of it. Nothing was changed. ` +
      'Where another instance tells of a loss, ask that one.',
  );
}

function unreadable(why: string): Problem {
  return new Problem(
    409,
    'Not recoverable',
    `Nothing was changed. The service cannot go by what Redis has left: ${why}`,
  );
}
