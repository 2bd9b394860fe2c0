import { expect, test } from 'vitest';
import { type AdapterSuiteOptions, adapterSuite } from '../src/index.ts';

type Run = () => Promise<void>;

/** Declares the suite for an app that limits nothing. */
function declare(skip?: Readonly<Record<string, string>>) {
  const declared = new Map<string, Run>();
  const options: AdapterSuiteOptions<unknown> = {
    serve: () => (_request, response) => void response.end('done'),
    header: () => undefined,
    ...(skip && { skip }),
  };
  adapterSuite((title, run) => declared.set(title, run), options);
  return declared;
}

test('every case fails for an app that does nothing', async () => {
  const passed: string[] = [];
  for (const [title, run] of declare()) {
    // Such an app holds nobody and runs no handler: a case that waits for that would wait for ever.
    if (
      /holds the|refuses what the queue|leaves|longer than maxDelay|gives units back|at work|gives back|given back|has not been completed/.test(
        title,
      )
    )
      continue;
    await run().then(
      () => passed.push(title),
      () => {},
    );
  }
  expect(passed).toEqual([]);
});

test('a case that is left out is declared with the reason behind its title, and does nothing', async () => {
  const title = 'counts HEAD as GET';
  const declared = declare({ [title]: 'this framework has no HEAD' });
  expect([...declared.keys()]).not.toContain(title);
  await declared.get(`${title} (skipped: this framework has no HEAD)`)!();
  expect(declared.size).toBe(declare().size);
});

test('a runner that can skip is asked to', () => {
  const skipped: string[] = [];
  const runner = Object.assign(() => {}, { skip: (title: string) => skipped.push(title) });
  adapterSuite(runner, {
    serve: () => () => {},
    header: () => undefined,
    skip: { 'limits without any options': 'there are none' },
  });
  expect(skipped).toEqual(['limits without any options (skipped: there are none)']);
});

test('leaving out a case that does not exist, or for no reason, is an error', () => {
  expect(() => declare({ 'counts sheep': 'tired' })).toThrow(/names no case: "counts sheep"\..+counts HEAD as GET/s);
  expect(() => declare({ 'counts HEAD as GET': ' ' })).toThrow(/needs a reason/);
});
