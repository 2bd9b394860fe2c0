import { describe } from 'vitest';
import { behind, one, refuses } from './wrong-options.ts';

/** A rule with numbers, but for what is wrong. */
const of = (wrong: object) => behind({ match: '/a', ...one, ...wrong });

describe('of rules', () => {
  refuses([
    ['no list', { rules: { match: '/a', ...one } }, 'INVALID_OPTION', /^rules takes a list, like \[\{ match/],
    ['null in place of a list', { rules: null }, 'INVALID_OPTION', /^rules takes a list.+got null/],
    ['undefined', { rules: undefined }, 'INVALID_OPTION', /'rules' is undefined.+leave it out/],
    ['null', behind(null), 'INVALID_OPTION', /^rules\[1\] takes an object of options, like \{ match/],
    ['a text', behind('POST /login'), 'INVALID_OPTION', /^rules\[1\] takes an object of options, like \{ match/],
    [
      'no limit that stacks',
      behind({ match: '/a', limit: false, stack: true }),
      'INVALID_OPTION',
      /^rules\[1\]: 'limit: false' is no limit, and 'stack: true'.+Leave out/,
    ],
    ['no match', behind(one), 'INVALID_OPTION', /^rules\[1\]: 'match' names the route, like 'POST \/login'/],
    ['a match that is none', of({ match: 7 }), 'INVALID_OPTION', /^rules\[1\]: 'match'.+got 7/],
    ['a path without a slash', of({ match: 'GET a' }), 'INVALID_OPTION', /^rules\[1\]: "GET a".+: "GET \/a"/],
    ['a misspelt method', of({ match: 'POTS /a' }), 'INVALID_OPTION', /^rules\[1\]: "POTS \/a".+mean "POST"\?/],
    ['one for HEAD alone', of({ match: 'HEAD /a' }), 'INVALID_OPTION', /^rules\[1\].+never match.+Write "GET \/a"/],
    ['dot segments', of({ match: '/a/../b' }), 'INVALID_OPTION', /^rules\[1\].+never match.+Write "\/b"/],
    ['a query', of({ match: '/a?b=c' }), 'INVALID_OPTION', /^rules\[1\].+never match.+Write "\/a"/],
    ['an escape', of({ match: '/%61' }), 'INVALID_OPTION', /^rules\[1\].+never match.+Write "\/a"/],
    ['an expression', of({ match: '/a/(.*)' }), 'INVALID_OPTION', /^rules\[1\].+not supported.+write "\*"/],
    ['an optional segment', of({ match: '/a/:b?' }), 'INVALID_OPTION', /^rules\[1\].+write two rules/],
    ['an option of nobody', of({ nmae: 'a' }), 'UNKNOWN_OPTION', /^rules\[1\] has no option "nmae".+"name"\?/],
    ['an option of others', of({ windowMs: 5 }), 'UNKNOWN_OPTION', /^rules\[1\].+it is called "window"/],
    [
      'a by of no kind',
      of({ by: 'address' }),
      'INVALID_OPTION',
      /^rules\[1\]: 'by' must be.+'ip', 'user' or 'api-key'/,
    ],
    ['a by that is null', of({ by: null }), 'INVALID_OPTION', /^rules\[1\]: 'by' must be/],
    ['a by that is undefined', of({ by: undefined }), 'INVALID_OPTION', /^rules\[1\]: 'by' is undefined.+leave it out/],
    ['a stack in words', of({ stack: 'yes' }), 'INVALID_OPTION', /^rules\[1\]: "stack" must be a boolean/],
    ['a group that is no text', of({ group: 7 }), 'INVALID_OPTION', /^rules\[1\]: "group" must be a string/],
    ['an empty group', of({ group: '' }), 'INVALID_POLICY', /^rules\[1\]: 'name' must be 1 to 64 .+; got ""/],
    ['a group with spaces', of({ group: 'a b' }), 'INVALID_POLICY', /^rules\[1\]: 'name' must be.+got "a b"/],
    ['a name that is no text', of({ name: 7 }), 'INVALID_OPTION', /^rules\[1\]: "name" must be a string/],
    ['an empty name', of({ name: '' }), 'INVALID_POLICY', /^rules\[1\]: 'name' must be.+got ""/],
    ['a mode of no kind', of({ mode: 'dry-run' }), 'INVALID_OPTION', /^rules\[1\]: 'mode' is 'enforce', 'shadow' or/],
  ]);
});

describe('of the limits of a rule', () => {
  refuses([
    [
      'none',
      behind({ match: '/a' }),
      'INVALID_OPTION',
      /^rules\[1\]: the rule '\/a' has no limit.+'limit: false' for none/,
    ],
    ['no window', behind({ match: '/a', limit: 5 }), 'INVALID_OPTION', /^rules\[1\].+has a 'limit' but no 'window'/],
    ['no limit', behind({ match: '/a', window: '1m' }), 'INVALID_OPTION', /^rules\[1\].+has a 'window' but no 'limit'/],
    ['undefined', of({ limit: undefined }), 'INVALID_OPTION', /^rules\[1\]: 'limit' is undefined.+leave it out/],
    ['NaN', of({ limit: Number.NaN }), 'INVALID_POLICY', /^rules\[1\]: 'limit' must be an integer.+got NaN/],
    ['a text', of({ limit: '5' }), 'INVALID_POLICY', /^rules\[1\]: 'limit'.+the string "5"; write Number/],
    ['true', of({ limit: true }), 'INVALID_OPTION', /^rules\[1\]: 'limit' must be a number, a function, or false/],
    ['null', of({ limit: null }), 'INVALID_POLICY', /^rules\[1\]: 'limit' must be an integer.+got null/],
    [
      'false, with a window',
      of({ limit: false }),
      'INVALID_OPTION',
      /^rules\[1\]: 'limit: false'.+'window' says nothing/,
    ],
    ['a window in words', of({ window: 'soon' }), 'INVALID_WINDOW', /^rules\[1\]: 'window' must be.+got "soon"/],
    ['an unknown algorithm', of({ algorithm: 'gcra' }), 'INVALID_POLICY', /^rules\[1\]: unknown algorithm.+Choose one/],
    [
      'an anchor for a log',
      of({ anchor: 'first' }),
      'INVALID_POLICY',
      /^rules\[1\]: 'anchor' applies to 'fixed-window'/,
    ],
    [
      'an empty list',
      behind({ match: '/a', limits: [] }),
      'INVALID_POLICY',
      /^rules\[1\]: limits takes a list.+\['100\/1m'\]/,
    ],
    [
      'no list',
      behind({ match: '/a', limits: '1/1m' }),
      'INVALID_POLICY',
      /^rules\[1\]: limits takes a list.+got "1\/1m"/,
    ],
    [
      'null for a list',
      behind({ match: '/a', limits: null }),
      'INVALID_POLICY',
      /^rules\[1\]: limits takes a list.+got null/,
    ],
    [
      'a second',
      behind({ match: '/a', limits: ['1/1m', 'x'] }),
      'INVALID_POLICY',
      /^rules\[1\]: limits\[1\]: .+'100\/1m'/,
    ],
    [
      'a limit and a list',
      of({ limits: ['1/1m'] }),
      'INVALID_OPTION',
      /^rules\[1\]: 'limit' and 'limits'.+Move 'limit'/,
    ],
    [
      'a unit of no kind',
      behind({ match: '/a', limits: ['1/1m', { ...one, name: 'b', unit: 'bits' }] }),
      'INVALID_POLICY',
      /^rules\[1\]: limits\[1\]: 'unit' is 'requests' or 'content-bytes'; got "bits"/,
    ],
    [
      'a cost above the limit',
      of({ cost: 2 }),
      'INVALID_COST',
      /^rules\[1\]: .+policy 'a' holds at most 1 .+Lower the cost/,
    ],
    [
      'a cost that is NaN',
      of({ cost: Number.NaN }),
      'INVALID_COST',
      /^rules\[1\]: 'cost' must be an integer ≥ 0; got NaN/,
    ],
    ['a cost that is a text', of({ cost: '1' }), 'INVALID_COST', /^rules\[1\]: 'cost' must be an integer ≥ 0; got "1"/],
    ['a cost that is null', of({ cost: null }), 'INVALID_COST', /^rules\[1\]: 'cost' must be an integer ≥ 0; got null/],
    ['half a place at work', of({ concurrency: 0.5 }), 'INVALID_POLICY', /^rules\[1\]: 'concurrency': 'limit' must be/],
    [
      'places in words',
      of({ concurrency: '5' }),
      'INVALID_OPTION',
      /^rules\[1\]: 'concurrency' takes an object.+like 20/,
    ],
    ['other options', of({ concurrency: { max: 1 } }), 'UNKNOWN_OPTION', /^rules\[1\]: 'concurrency'.+called "limit"/],
    [
      'a timeout of no time',
      of({ concurrency: { limit: 1, timeout: 0 } }),
      'INVALID_WINDOW',
      /^rules\[1\]: 'concurrency': 'timeout' must be/,
    ],
    ['a penalty in words', of({ penalty: 'soon' }), 'INVALID_WINDOW', /^rules\[1\]: 'penalty': 'blockFor' must be/],
    ['a penalty of null', of({ penalty: null }), 'INVALID_OPTION', /^rules\[1\]: 'penalty' takes an object/],
    ['a ban of its own', of({ penalty: { banFor: '1d' } }), 'INVALID_OPTION', /^rules\[1\]: 'banFor'.+Say it once/],
  ]);
});

describe('of rules that meet', () => {
  const pair = (first: object, second: object) => ({
    rules: [
      { ...one, ...first },
      { ...one, ...second },
    ],
  });
  refuses([
    [
      'two for the same requests',
      pair({ match: 'GET /users/:id' }, { match: 'GET,POST /users/:name', name: 'b' }),
      'INVALID_OPTION',
      /^rules\[1\] \("GET,POST \/users\/:name"\) and rules\[0\].+the same GET requests.+Remove one/,
    ],
    [
      'two of one path',
      pair({ match: '/a' }, { match: '/A/', name: 'b' }),
      'INVALID_OPTION',
      /^rules\[1\].+any method/,
    ],
    [
      'two in the shadow for the same requests',
      {
        rules: [
          { match: '/a', ...one, mode: 'shadow' },
          { match: '/a', ...one, mode: 'shadow', name: 'b' },
        ],
      },
      'INVALID_OPTION',
      /^rules\[1\] \("\/a"\) and rules\[0\]/,
    ],
    [
      'two of one name',
      pair({ match: '/a', name: 'x' }, { match: '/b', name: 'x' }),
      'DUPLICATE_POLICY',
      /^rules\[1\]: it and rules\[0\] are both called "x".+'name' of its own.+'group'/,
    ],
    [
      'the name of the app',
      { ...one, limit: 2, rules: [{ match: '/a', ...one, name: 'default' }] },
      'DUPLICATE_POLICY',
      /called 'default'.+Give a rule, or the limiter, another 'name'/,
    ],
    [
      'a group with limits twice',
      pair({ match: '/a', group: 'g' }, { match: '/b', group: 'g' }),
      'INVALID_OPTION',
      /^rules\[1\]: the group 'g' has its limits from rules\[0\].+one rule of the group only/,
    ],
    [
      'a group without limits',
      { rules: ['/a', '/b'].map((match) => ({ match, group: 'g' })) },
      'INVALID_OPTION',
      /^rules\[0\]: the rule '\/a' has no limit/,
    ],
    [
      'a group of two names',
      {
        rules: [
          { match: '/a', group: 'g', ...one, name: 'x' },
          { match: '/b', group: 'g', name: 'y' },
        ],
      },
      'INVALID_OPTION',
      /^rules\[1\]: the group 'g' is called "x" by rules\[0\], and "y" here.+one 'name' only/,
    ],
  ]);
});
