// How long does it take to find the rule of a request, beside a look into a Map?
import { hash } from 'node:crypto';
import { Pipeline, type Reader, type ResponseLike, type Rule } from '@sluice/core';
import type { Tasks } from './child.js';
import { picks } from './keys.js';

/** What requests ask for; the first is not a request, but a look for the same path as text. */
export const kinds = ['map', 'static', 'param', 'wildcard', 'unmatched', 'hostile'] as const;
export type Kind = (typeof kinds)[number];

export interface Search {
  readonly kind: Kind;
  /** 0 for a limiter without rules: what it takes is no search. */
  readonly rules: number;
  /** How many rules of a kind are asked for; with as many as there are, more of them than a processor keeps at hand. */
  readonly among: number;
  readonly requests: number;
}

interface Target {
  readonly url: string;
}

const reader: Reader<Target> = {
  ip: () => '192.0.2.1',
  peer: () => '192.0.2.1',
  header: () => undefined,
  method: () => 'GET',
  target: ({ url }) => url,
  route: () => undefined,
  user: () => undefined,
  earlier: () => undefined,
  proxies: { trust: () => 'nobody', forwarded: () => undefined, remedy: '' },
  digest: (text) => hash('sha256', text, 'base64url').slice(0, 22),
  sign: () => '',
  warn: () => {},
};

const response: ResponseLike & { getHeader(name: string): unknown } = {
  statusCode: 200,
  destroyed: false,
  writableEnded: false,
  setHeader: () => {},
  once: () => {},
  removeListener: () => {},
  getHeader: () => undefined,
};

const paths: Readonly<Record<Kind, (i: number) => string>> = {
  map: (i) => `/api/v1/shop${i}/list`,
  static: (i) => `/api/v1/shop${i}/list`,
  param: (i) => `/api/v1/shop${i}/items/${i * 7}`,
  wildcard: (i) => `/files/shop${i}/2026/11/report.pdf`,
  unmatched: (i) => `/elsewhere/shop${i}/list`,
  hostile: (i) => `/api//V1/./shop${i}/x/../%6Cist;a=1`,
};

const patterns = [
  (i: number) => `/api/v1/shop${i}/list`,
  (i: number) => `GET /api/v1/shop${i}/items/:id`,
  (i: number) => `/files/shop${i}/*`,
] as const;

/** Of each kind of pattern a third. None of them limits anything, so that nothing but the search is done. */
function limiterOf(count: number): Pipeline<Target> {
  const rules = Array.from({ length: count }, (_, i): Rule<Target> => {
    return { match: patterns[i % patterns.length]!(Math.floor(i / patterns.length)), limit: false };
  });
  return new Pipeline<Target>(reader, { limit: false, rules });
}

export function tasks(): Tasks {
  const limiters = new Map<number, Pipeline<Target>>();
  const order = picks(2 ** 20, 2 ** 12);

  /** Made anew for each round, in one piece as they come from a socket. */
  function targetsOf(kind: Kind, shops: number): readonly Target[] {
    return Array.from(order, (pick) => {
      return { url: Buffer.from(paths[kind](pick % shops), 'latin1').toString('latin1') };
    });
  }

  return {
    prepare(counts: readonly number[]): void {
      for (const count of counts) limiters.set(count, limiterOf(count));
    },

    /** Nanoseconds of processor time per request. */
    run({ kind, rules, among, requests }: Search): number {
      const targets = targetsOf(kind, among);
      const known = new Map(Array.from({ length: Math.ceil(rules / patterns.length) }, (_, i) => [paths.map(i), i]));
      const limiter = limiters.get(rules)!;
      let found = 0;
      const start = process.cpuUsage();
      if (kind === 'map') {
        for (let i = 0; i < requests; i++) if (known.has(targets[i & (targets.length - 1)]!.url)) found++;
      } else {
        for (let i = 0; i < requests; i++) {
          const verdict = limiter.handle(targets[i & (targets.length - 1)]!, response, response);
          if ((verdict as { action: string }).action === 'skip') found++;
        }
      }
      const { user, system } = process.cpuUsage(start);
      if (found !== requests) throw new Error(`found ${found} of ${requests}`);
      return ((user + system) * 1_000) / requests;
    },
  };
}
