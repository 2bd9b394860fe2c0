import { ManualClock } from '@sluice/testing';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { MemoryStore, Pipeline, type RequestEvent, type Rule } from '../../src/index.ts';
import { type FakeRequest, passing, type Refused, reader } from './exchange.ts';

const ip = '192.0.2.1';
const one = { limit: 1, window: '1h' } as const;

/** Which policies a request is charged for. */
function charged(rules: readonly Rule<FakeRequest>[]) {
  const events: RequestEvent<FakeRequest>[] = [];
  const onDecision = (event: RequestEvent<FakeRequest>) => void events.push(event);
  const send = passing({ limit: 1_000, rules, onDecision, clock: new ManualClock(), identity: { ceiling: false } });
  return (request: FakeRequest): string[] => {
    events.length = 0;
    send({ ip, ...request });
    return events.flatMap(({ decision }) => decision.policies ?? [decision]).map(({ policy }) => policy);
  };
}

describe('the order in which rules are written', () => {
  const segment = fc.constantFrom('a', 'b', ':x', '*');
  const match = fc
    .tuple(fc.constantFrom('', 'GET ', 'POST '), fc.array(segment, { minLength: 1, maxLength: 3 }))
    .map(([method, path]) => `${method}/${path.join('/')}`);
  const matches = fc.uniqueArray(match, {
    maxLength: 12,
    // Names of parameters, and wildcards before the last segment, make no difference.
    selector: (text) => text.replace(/\*(?=\/)/g, ':x'),
  });
  const asked = fc.tuple(fc.constantFrom('GET', 'HEAD', 'POST', 'PUT'), fc.array(fc.constantFrom('a', 'b', 'c')));

  test('makes no difference to what a request is charged for', () => {
    const property = fc.property(
      matches.chain((list) => fc.tuple(fc.constant(list), fc.shuffledSubarray(list, { minLength: list.length }))),
      fc.array(asked, { maxLength: 10 }),
      ([list, shuffled], requests) => {
        const [first, second] = [list, shuffled].map((order) =>
          charged(order.map((match) => ({ match, name: nameOf(match), limit: 9, window: '1h' }))),
        );
        for (const [method, path] of requests) {
          const request = { method, url: `/${path.join('/')}` };
          expect(second!(request)).toEqual(first!(request));
        }
      },
    );
    fc.assert(property, { numRuns: 200 });
  });
});

/** The same for the same pattern, wherever it stands. */
function nameOf(match: string): string {
  return match.replace(/[^A-Za-z]/g, (character) => `-${character.charCodeAt(0)}`);
}

test('a path that can be read in two ways is charged for both, once each', () => {
  const rules: Rule<FakeRequest>[] = [
    { match: '/admin', limit: 5, window: '1h' },
    { match: '/files/*', limit: 5, window: '1h' },
  ];
  const policies = charged(rules);
  expect(policies({ url: '/admin' })).toEqual(['admin']);
  expect(policies({ url: '/files/../admin' }).sort()).toEqual(['admin', 'files-all']);
  expect(policies({ url: '/files/%2e%2e/files/x' })).toEqual(['files-all']);
});

test("the framework's own route counts beside what the path is read as", () => {
  const rules: Rule<FakeRequest>[] = [
    { match: '/users/:id', limit: 5, window: '1h' },
    { match: '/users/me', limit: 5, window: '1h' },
  ];
  const policies = charged(rules);
  expect(policies({ url: '/users/7', route: '/users/:user' })).toEqual(['users-id']);
  expect(policies({ url: '/users/me', route: '/users/:user' })).toEqual(['users-me']);
  // To a router that tells case apart, this is no request for /users/me.
  expect(policies({ url: '/users/ME', route: '/users/:user' }).sort()).toEqual(['users-id', 'users-me']);
});

test('the names of rules keep apart what only differs in characters that names cannot have', () => {
  const matches = ['/a.b', '/a-b', '/a/b', '/a_b', 'GET /a.b', `/${'x'.repeat(80)}`, `/${'x'.repeat(81)}`, '/', '*'];
  const policies = charged(matches.map((match) => ({ match, limit: 9, window: '1h' })));
  const names = ['/a.b', '/a-b', '/a/b', '/a_b', `/${'x'.repeat(80)}`, `/${'x'.repeat(81)}`, '/', '/other'].map((url) =>
    policies({ method: 'PUT', url }),
  );
  expect(new Set(names.flat()).size).toBe(names.length);
  for (const name of names.flat()) expect(name).toMatch(/^[A-Za-z0-9_-]{1,64}$/);
});

test('the rules of a group count together under the one name that any of them gives', () => {
  const rules: Rule<FakeRequest>[] = [
    { match: '/a', group: 'g', ...one },
    { match: '/b', group: 'g', name: 'files' },
  ];
  const send = passing({ rules, clock: new ManualClock() });
  expect(send({ ip, url: '/a' })).toMatchObject({ action: 'pass', decision: { policy: 'files' } });
  expect(send({ ip, url: '/b' }).action).toBe('refuse');
});

test('limiters that share a store count their rules apart by their names, and together without', () => {
  const store = new MemoryStore({ clock: new ManualClock() });
  const rules: Rule<FakeRequest>[] = [{ match: '/a', ...one }];
  const send = (name?: string) =>
    passing({ rules, store, ...(name === undefined ? {} : { name }) })({ ip, url: '/a' }).action;
  expect([send('x'), send('y'), send('x')]).toEqual(['pass', 'pass', 'refuse']);
  expect([send(), send()]).toEqual(['pass', 'refuse']);
});

test('rules are unknown to a store under another policy of the same name', () => {
  const store = new MemoryStore({ clock: new ManualClock() });
  new Pipeline(reader, { rules: [{ match: '/a', ...one }], store });
  expect(() => new Pipeline(reader, { rules: [{ match: '/a', limit: 2, window: '1h' }], store })).toThrow(
    expect.objectContaining({ code: 'DUPLICATE_POLICY' }),
  );
});

test('a rule in the shadow for any method does not count what one for the method is enforced for', () => {
  const rules: Rule<FakeRequest>[] = [
    { match: '/a', name: 'trial', ...one, mode: 'shadow' },
    { match: 'GET /a', ...one },
  ];
  const policies = charged(rules);
  expect(policies({ url: '/a' })).toEqual(['GET-a']);
  expect(policies({ method: 'POST', url: '/a' })).toEqual(['trial', 'default']);
});

test('two stacked rules that a path is read as name both in a refusal', () => {
  const rules: Rule<FakeRequest>[] = [
    { match: '/admin', ...one, stack: true },
    { match: '/files/*', ...one, stack: true },
  ];
  const send = passing({ limit: 9, window: '1h', rules, clock: new ManualClock() });
  const url = '/files/../admin';
  expect(send({ ip, url }).action).toBe('pass');
  const refused = send({ ip, url }) as Refused;
  expect(JSON.parse(refused.body)['violated-policies'].sort()).toEqual(['admin', 'files-all']);
  // The limits of the app, which both stand on, were charged once.
  expect(send({ ip, url: '/other' })).toMatchObject({ action: 'pass', decision: { remaining: 7 } });
});

test('a penalty of a rule blocks its route, and that of the app is taken over by rules without', () => {
  const clock = new ManualClock();
  const rules: Rule<FakeRequest>[] = [
    { match: '/own', limit: 1, window: '1s', algorithm: 'fixed-window', penalty: '1h' },
    { match: '/taken', limit: 1, window: '1s', algorithm: 'fixed-window' },
  ];
  const send = passing({ limit: 9, penalty: '10m', rules, clock });
  const twice = (url: string) => [send({ ip, url }).action, send({ ip, url }).action];
  expect([twice('/own'), twice('/taken')]).toEqual([
    ['pass', 'refuse'],
    ['pass', 'refuse'],
  ]);
  clock.advance(600_000);
  expect([send({ ip, url: '/own' }).action, send({ ip, url: '/taken' }).action]).toEqual(['refuse', 'pass']);
  clock.advance(3_000_000);
  expect(send({ ip, url: '/own' }).action).toBe('pass');
});
