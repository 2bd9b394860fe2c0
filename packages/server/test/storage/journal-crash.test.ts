import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { Journal } from '../../src/storage/journal.ts';
import type { Numbered } from './journal-writer.ts';
import { run, temporaryDirectory } from './program.ts';

/** What should be there after all crashes so far, by writer: at least the latest number that was acknowledged. */
class Acknowledged {
  readonly #latest = new Map<number, number>();
  count = 0;

  add(lines: readonly string[]): void {
    for (const line of lines) {
      if (line === 'open') continue;
      const number = Number(line);
      this.count++;
      this.#latest.set(number % 10, Math.max(number, this.#latest.get(number % 10) ?? 0));
    }
  }

  async check(path: string): Promise<void> {
    const journal = await Journal.open<Numbered>(path, { kind: 'numbers' });
    await journal.close();
    const found = new Map(journal.records.map(({ number }) => [number % 10, number]));
    for (const { number, text } of journal.records) expect(text).toBe('é'.repeat(number % 300));
    for (const [writer, number] of this.#latest) expect(found.get(writer)).toBeGreaterThanOrEqual(number);
  }
}

// Each round takes the start of a process.
describe('a journal whose process is killed', { timeout: 240_000 }, () => {
  test('holds every record that was acknowledged, and no half one, wherever in an append or a compaction', async () => {
    const path = join(await temporaryDirectory(), 'numbers.journal');
    const acknowledged = new Acknowledged();
    for (let round = 0; round < 16; round++) {
      const { child, lines, printed, ended } = run('journal-writer.ts', [path]);
      await printed(1 + ((round * 37) % 90));
      child.kill('SIGKILL');
      expect(await ended).toBe('SIGKILL');
      acknowledged.add(lines);
      await acknowledged.check(path);
    }
    expect(acknowledged.count).toBeGreaterThan(300);
  });

  test.each(['before the step', 'half way through, where it is a write'])(
    'holds them at each step: %s',
    async (how) => {
      const path = join(await temporaryDirectory(), 'numbers.journal');
      const acknowledged = new Acknowledged();
      // A journal begins with 5 steps; it is opened with one, appended to with two and compacted with six.
      for (let step = 1; step <= 20; step++) {
        const args = how.startsWith('half') ? [path, String(step), 'half'] : [path, String(step)];
        const { lines, ended } = run('journal-writer.ts', args);
        expect(await ended).toBe('SIGKILL');
        acknowledged.add(lines);
        if (step > 5) await acknowledged.check(path);
      }
      expect(acknowledged.count).toBeGreaterThan(10);
    },
  );
});
