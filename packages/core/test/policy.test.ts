import { describe, expect, it } from 'vitest';
import type { CompiledPolicy, Policy, PolicyInput, SluiceErrorCode } from '../src/index.ts';
import { compilePolicies, createLimiter, SluiceError } from '../src/index.ts';

const day = 86_400_000;

function compile(input: PolicyInput): CompiledPolicy {
  return compilePolicies([input], 'policies')[0]!;
}

/** Whatever JavaScript may pass; expects the error, and hands out its message. */
function messageOf(inputs: unknown, code: SluiceErrorCode): string {
  try {
    compilePolicies(inputs as PolicyInput[], 'policies');
  } catch (error) {
    expect(error).toBeInstanceOf(SluiceError);
    expect(error).toMatchObject({ name: 'SluiceError', code });
    return (error as SluiceError).message;
  }
  throw new Error(`No error for ${JSON.stringify(inputs)}.`);
}

describe('a policy', () => {
  it('counts in a sliding window and is called default where it says nothing else', () => {
    expect(compile({ limit: 100, window: '1m' })).toMatchObject({
      id: 'sliding-window-counter',
      name: 'default',
      algorithm: 'sliding-window-counter',
      limit: 100,
      capacity: 100,
      anchor: 'epoch',
      countRefused: false,
      windowMs: 60_000,
      window: 60_000_000,
      tick: 1,
    });
  });

  it('is a token bucket where it has a burst', () => {
    expect(compile({ limit: 100, window: '1m', burst: 20 })).toMatchObject({
      algorithm: 'token-bucket',
      limit: 100,
      capacity: 20,
    });
    expect(compile({ limit: 100, window: '1m', burst: 500, algorithm: 'leaky-bucket' }).capacity).toBe(500);
  });

  it('has a short form', () => {
    expect(compile('100/1m')).toEqual(compile({ limit: 100, window: '1m' }));
    expect(compile('100/1m burst 20')).toEqual(compile({ limit: 100, window: '1m', burst: 20 }));
    expect(compile(' 100 / 1m  burst  20 ' as PolicyInput)).toEqual(compile('100/1m burst 20'));
    expect(compile('0/500ms')).toMatchObject({ limit: 0, windowMs: 500 });
  });

  it('takes the algorithm of its list where it names none', () => {
    const [first, second] = compilePolicies(
      ['10/1s', { limit: 5, window: '1m', algorithm: 'sliding-window-log' }],
      'x',
      {
        algorithm: 'fixed-window',
      },
    );
    expect(first!.algorithm).toBe('fixed-window');
    expect(second!.algorithm).toBe('sliding-window-log');
  });

  it('is called after its window among several, and after its list before that', () => {
    const names = (name?: string) => compilePolicies(['10/1s', '100/60000ms'], 'policies', { name }).map((p) => p.name);
    expect(names()).toEqual(['1s', '1m']);
    expect(names('api')).toEqual(['api-1s', 'api-1m']);
    expect(compilePolicies(['10/1s'], 'policies', { name: 'api' })[0]!.name).toBe('api');
  });

  it('keeps its state under its algorithm and its name', () => {
    expect(compile({ name: 'login', limit: 5, window: '1m', algorithm: 'fixed-window' }).id).toBe('fixed-window:login');
    expect(compile({ name: 'default', limit: 5, window: '1m' }).id).toBe('sliding-window-counter');
  });

  it('may reach the limits of what it may be', () => {
    expect(compile({ limit: 1e9, window: 1 })).toMatchObject({ limit: 1e9, windowMs: 1 });
    expect(compile({ limit: 1e9, window: '366d', burst: 1e9 })).toMatchObject({ windowMs: 366 * day });
    expect(compile({ name: 'a'.repeat(64), limit: 1, window: 1 }).name).toHaveLength(64);
  });
});

describe('a policy that cannot work', () => {
  it.each([Number.NaN, Number.POSITIVE_INFINITY, 1.5, -1, 1e10, null, undefined, true, 100n, [100]])(
    'is refused for the limit %s',
    (limit) => {
      const message = messageOf([{ limit, window: '1m' }], 'INVALID_POLICY');
      expect(message).toMatch(
        /^policies: 'limit' must be an integer from 0 \(refuses everything\) to 1000000000; got /,
      );
    },
  );

  it('is told how to make a number of a text', () => {
    expect(messageOf([{ limit: '10', window: '1m' }], 'INVALID_POLICY')).toContain(
      'got the string "10"; write Number(…) around it',
    );
    expect(messageOf([{ limit: 'ten', window: '1m' }], 'INVALID_POLICY')).toMatch(/got "ten"\.$/);
    expect(messageOf([{ limit: 1, window: '1m', burst: '5' }], 'INVALID_POLICY')).toContain(
      'write Number(…) around it',
    );
  });

  it.each(['1 minute', '0.5ms', 0, -1, Number.NaN, 366 * day + 1, '367d', undefined, null, new Date(0)])(
    'is refused for the window %s',
    (window) => {
      const message = messageOf([{ limit: 10, window }], 'INVALID_WINDOW');
      expect(message).toMatch(/^policies: 'window' must be whole milliseconds or a duration like '500ms'/);
    },
  );

  it.each(['fixed-window', 'sliding-window-log', 'sliding-window-counter'])(
    'is refused for a burst on %s',
    (algorithm) => {
      const message = messageOf([{ limit: 10, window: '1m', burst: 5, algorithm }], 'INVALID_POLICY');
      expect(message).toContain("'burst' applies to 'token-bucket' and 'leaky-bucket' only");
      expect(message).toContain('Leave it out, or choose one of the two.');
    },
  );

  it.each([0, -1, 1.5, Number.NaN, 1e10, null])('is refused for a burst of %s', (burst) => {
    expect(messageOf([{ limit: 10, window: '1m', burst }], 'INVALID_POLICY')).toContain(
      "'burst' must be an integer from 1 to 1000000000",
    );
  });

  it('is refused for a burst that would never refill', () => {
    expect(messageOf([{ limit: 0, window: '1m', burst: 5 }], 'INVALID_POLICY')).toContain('Leave out one of the two');
    expect(messageOf([{ limit: 1, window: '366d', burst: 101 }], 'INVALID_POLICY')).toContain(
      "a 'burst' of 101 would take over a century to refill at 1 per 366d. Choose one of at most 100.",
    );
    expect(compile({ limit: 1, window: '366d', burst: 100 }).capacity).toBe(100);
  });

  it.each(['gcra', 'Token-Bucket', 'tokenBucket', '', 'toString', 7, {}])(
    'is refused for the algorithm %s',
    (algorithm) => {
      const message = messageOf([{ limit: 10, window: '1m', algorithm }], 'INVALID_POLICY');
      expect(message).toContain(
        'Choose one of fixed-window, sliding-window-log, sliding-window-counter, token-bucket, leaky-bucket.',
      );
    },
  );

  it('is refused for an anchor that is none, or that its algorithm has no use for', () => {
    expect(
      messageOf([{ limit: 1, window: '1m', algorithm: 'fixed-window', anchor: 'last' }], 'INVALID_POLICY'),
    ).toContain("'anchor' is 'epoch' or 'first'");
    expect(messageOf([{ limit: 1, window: '1m', anchor: 'first' }], 'INVALID_POLICY')).toContain(
      "'anchor' applies to 'fixed-window' only",
    );
  });

  it.each(['yes', 1, null])('is refused for countRefused: %s', (countRefused) => {
    expect(messageOf([{ limit: 1, window: '1m', countRefused }], 'INVALID_OPTION')).toContain(
      '"countRefused" must be a boolean',
    );
  });

  it.each(['', 'a b', 'a:b', '{a}', 'ä', 'a\n', 'a'.repeat(65)])('is refused for the name %j', (name) => {
    expect(messageOf([{ name, limit: 1, window: '1m' }], 'INVALID_POLICY')).toContain(
      "'name' must be 1 to 64 characters of A-Z a-z 0-9 _ -",
    );
  });

  it.each([5, true, null, ['a']])('is refused for the name %j, which is no text', (name) => {
    expect(messageOf([{ name, limit: 1, window: '1m' }], 'INVALID_OPTION')).toContain('"name" must be a string');
  });

  it.each([
    '100',
    '100/',
    '/1m',
    '100 per 1m',
    '1.5/1m',
    '-1/1m',
    '100/1m burst',
    '100/1m burst x',
    '100/1m 20',
    '',
    'x'.repeat(10_000),
  ])('is refused for the short form %.20j', (text) => {
    expect(messageOf([text], 'INVALID_POLICY')).toMatch(/reads '100\/1m' or '100\/1m burst 20'; got ".{0,60}"\.$/);
  });

  it('is refused for a short form that is out of range', () => {
    expect(messageOf(['10000000000/1m'], 'INVALID_POLICY')).toContain("'limit' must be");
    expect(messageOf([`${'9'.repeat(400)}/1m`], 'INVALID_POLICY')).toContain("'limit' must be");
    expect(messageOf(['10/1minute'], 'INVALID_WINDOW')).toContain("'window' must be");
    expect(messageOf(['10/60'], 'INVALID_WINDOW')).toContain("'window' must be");
    expect(messageOf(['10/1m burst 0'], 'INVALID_POLICY')).toContain("'burst' must be");
    expect(messageOf(['0/1m burst 1'], 'INVALID_POLICY')).toContain("'limit: 0'");
  });

  it.each([5, null, undefined, true, () => {}, [[]]])('is refused where it is %s', (input) => {
    expect(messageOf([input], 'INVALID_OPTION')).toContain('takes an object of options');
  });

  it('is offered the nearest name for an option that does not exist', () => {
    const messages = (option: string) => messageOf([{ limit: 1, window: '1m', [option]: 1 }], 'UNKNOWN_OPTION');
    expect(messages('limt')).toContain('Did you mean "limit"?');
    expect(messages('Window')).toContain('Did you mean "window"?');
    expect(messages('countrefused')).toContain('Did you mean "countRefused"?');
    expect(messages('colour')).toContain('Known options: name, algorithm, limit, window, burst, anchor, countRefused.');
    expect(messages('toString')).toContain('policies has no option "toString"');
  });

  it.each([
    ['max', 'limit'],
    ['points', 'limit'],
    ['total', 'limit'],
    ['windowMs', 'window'],
    ['timeWindow', 'window'],
    ['duration', 'window'],
    ['keyPrefix', 'name'],
  ])('is told our name for %s', (theirs, ours) => {
    expect(messageOf([{ limit: 1, window: '1m', [theirs]: 1 }], 'UNKNOWN_OPTION')).toBe(
      `policies has no option "${theirs}". Here it is called "${ours}".`,
    );
  });
});

describe('a list of policies', () => {
  it.each([[[]], [undefined], [null], [{ limit: 1, window: '1m' }], ['100/1m']])(
    'is refused where it is %j',
    (inputs) => {
      expect(messageOf(inputs, 'INVALID_POLICY')).toContain("takes a list of at least one policy, like ['100/1m']");
    },
  );

  it('says which of them is wrong', () => {
    expect(messageOf(['1/1s', { limit: -1, window: '1m' }], 'INVALID_POLICY')).toMatch(/^policies\[1\]: 'limit'/);
  });

  it('has no two policies of one name', () => {
    const twice: Policy = { name: 'api', limit: 1, window: '1m' };
    expect(messageOf([twice, { ...twice, limit: 2 }], 'DUPLICATE_POLICY')).toBe(
      `policies[1]: a second policy is called "api". Give each a 'name' of its own; ` +
        'without one, a policy among several is called after its window.',
    );
    expect(messageOf(['10/1m', '20/60s'], 'DUPLICATE_POLICY')).toContain('a second policy is called "1m"');
  });

  it('is checked when the limiter is created, not when it is asked', () => {
    const policies = { limit: Number.NaN, window: '1m' } as const;
    expect(() => createLimiter({ policies })).toThrow(expect.objectContaining({ code: 'INVALID_POLICY' }));
  });
});
