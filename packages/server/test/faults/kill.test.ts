import { readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { Client, Reply } from '../support/client.ts';
import { dataDirectory, ended, killed, started } from './command.ts';

/** What is written under one name: the number of the write, `null` where it is removed. */
type Value = number | null;

type Send = (client: Client, id: string, value: Value) => Promise<Reply>;

/** One write after another, and what is to be found of them after a crash. */
class Writer {
  readonly #send: Send;
  readonly prefix: string;
  readonly #known = new Map<string, { acknowledged: Value; pending?: Value }>();
  #number = 0;

  constructor(prefix: string, send: Send) {
    this.prefix = prefix;
    this.#send = send;
  }

  /** Writes until the service is gone. */
  async write(client: Client, acknowledged: () => void): Promise<void> {
    for (;;) {
      const number = ++this.#number;
      const id = `${this.prefix}${number % 12}`;
      const known = this.#known.get(id) ?? { acknowledged: null };
      this.#known.set(id, known);
      const value = known.acknowledged !== null && number % 5 === 0 ? null : number;
      known.pending = value;
      const reply = await this.#send(client, id, value).catch(() => undefined);
      if (reply === undefined) return;
      // Whatever it is, it is an answer to this write: a refusal would be a mistake of the test.
      if (reply.status >= 300) throw new Error(`${id} = ${value}: ${reply.status} ${reply.text}`);
      known.acknowledged = value;
      delete known.pending;
      acknowledged();
    }
  }

  /** Takes what is there as what was written, where it can be. */
  check(found: ReadonlyMap<string, number>): void {
    for (const [id, known] of this.#known) {
      const value = found.get(id) ?? null;
      const possible = 'pending' in known ? [known.acknowledged, known.pending] : [known.acknowledged];
      expect(possible, id).toContain(value);
      this.#known.set(id, { acknowledged: value });
    }
    for (const id of found.keys()) if (id.startsWith(this.prefix)) expect(this.#known.has(id), id).toBe(true);
  }
}

const text = 'é'.repeat(300);

function writers(): readonly Writer[] {
  const rules = (prefix: string) =>
    new Writer(prefix, (client, id, value) => {
      const rule = { endpoint: `/${id}`, limit: value, window: '1h', description: `${value} ${text}` };
      return value === null ? client.delete(`/ratelimit/rules/${id}`) : client.put(`/ratelimit/rules/${id}`, rule);
    });
  const users = new Writer('person-', (client, id, value) =>
    value === null
      ? client.delete(`/users?user_id=${id}`)
      : client.post(`/users?user_id=${id}&max_tokens=${value}&refill_rate=${value}`),
  );
  const entries = new Writer('user:e', (client, id, value) =>
    value === null
      ? client.delete(`/ratelimit/lists/block/${id}`)
      : client.put(`/ratelimit/lists/block/${id}`, { note: `${value} ${text}` }),
  );
  return [rules('a'), rules('b'), users, entries];
}

/** For processes that hardly begin: to optimise what runs once, and to collect garbage soon, takes longer than it saves. */
const program = ['--no-opt', '--max-semi-space-size=32'];

/** What the service has, by name, and whether so many entries of the audit log tell the same. */
async function contents(client: Client, audited: number): Promise<ReadonlyMap<string, number>> {
  const paths = ['rules', 'lists/block', `audit?limit=${audited}`].map((path) => client.get(`/ratelimit/${path}`));
  const [rules, block, audit] = (await Promise.all(paths)).map(({ json }) => json);
  const { users } = (await client.get('/users?limit=1000')).json;
  const found = new Map<string, number>();
  for (const { id, limit, description, endpoint } of rules.rules) {
    expect({ description, endpoint }).toEqual({ description: `${limit} ${text}`, endpoint: `/${id}` });
    found.set(id, limit);
  }
  for (const { entry, note } of block.entries) {
    expect(note).toBe(`${Number.parseInt(note, 10)} ${text}`);
    found.set(entry, Number.parseInt(note, 10));
  }
  for (const { user_id, max_tokens, refill_rate } of users) {
    expect(refill_rate).toBe(max_tokens);
    found.set(user_id, max_tokens);
  }
  // The audit log leads to what is there, without a gap.
  const versions = audit.entries.map(({ version }: { version: number }) => version);
  expect(versions).toHaveLength(Math.min(audited, rules.version));
  expect(versions).toEqual(versions.map((_: number, i: number) => rules.version - i));
  const latest = new Map<string, { after: { limit?: number; note?: string } | null }>();
  for (const entry of audit.entries) {
    const id = entry.rule ?? entry.entry;
    if (!latest.has(id)) latest.set(id, entry);
  }
  for (const [id, { after }] of latest) {
    const value = after === null ? undefined : (after.limit ?? Number.parseInt(after.note!, 10));
    expect(found.get(id), id).toBe(value);
  }
  return found;
}

/** Starts, looks at what is there, writes, and kills, so many times in the same folder; tells how many writes were acknowledged. */
async function crashes(count: number, seed: number): Promise<number> {
  const dataDir = dataDirectory();
  const all = writers();
  let acknowledged = 0;
  for (let round = 0; round < count; round++) {
    const service = await started(['--data-dir', dataDir], program);
    const { client } = service;
    // More than were written since the last look.
    const found = await contents(client, 100);
    for (const writer of all) writer.check(found);
    // At another moment of a write each time.
    const end = acknowledged + 2 + ((round * 7 + seed) % 23);
    const kill = () => {
      if (++acknowledged === end) service.running.child.kill('SIGKILL');
    };
    await Promise.all(all.map((writer) => writer.write(client, kill)));
    await killed(service);
  }
  const last = await started(['--data-dir', dataDir]);
  const found = await contents(last.client, 1_000);
  for (const writer of all) writer.check(found);
  // What a crash has cut short may have been said at the start.
  last.running.stderr = '';
  await ended(last);
  expect(readdirSync(dataDir).filter((name) => name.endsWith('.new') || name.startsWith('lock-'))).toEqual([]);
  return acknowledged;
}

describe('a service that is killed while rules, lists and users are written', { timeout: 900_000 }, () => {
  it('has every acknowledged write, and no half one, after each of 200 kills', async () => {
    const counts = await Promise.all([crashes(100, 0), crashes(100, 11)]);
    for (const count of counts) expect(count).toBeGreaterThan(1_000);
  });
});
