import type { Random } from './random.ts';

/** A request as it goes over the wire. */
export interface Sent {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | undefined;
}

interface Schema {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly format?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
}

interface Parameter {
  readonly in: string;
  readonly name: string;
  readonly required?: boolean;
  readonly schema: Schema;
}

interface Operation {
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema: Schema }>> };
}

export interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> };
}

/** Words that fields, ids and paths are made of: good ones, and such as objects, URLs, files and scripts have a meaning for. */
const words = [
  ...['alice', 'bob', 'user-1', 'login', 'a', 'pro', 'free', '/login', '/files/:id', '/files/*', '*', '/a/b?c=d'],
  ...['1m', '10s', '1h', '365d', '203.0.113.7', '2001:db8::1', '203.0.113.0/24', 'user:eve', 'api-key:sk_1', 'GET'],
  ...['2099-01-01T00:00:00Z', '2020-01-01T00:00:00Z', 'token-bucket', 'leaky-bucket', 'fixed-window', 'enforce'],
  ...[
    '__proto__',
    'constructor',
    'prototype',
    'toString',
    'hasOwnProperty',
    'default',
    'override',
    'undefined',
    'null',
  ],
  ...[
    '',
    ' ',
    '0',
    '-1',
    '1e309',
    '0x10',
    'NaN',
    '١٢',
    '\0',
    '\n',
    '\r\nx-evil: 1',
    '\u202e',
    '😀',
    'é',
    '\ud800',
    'İ',
  ],
  ...['..', '../../etc/passwd', '%', '%2', '%00', '%2e%2e', '%ff', '//', '/', '\\', ';', '?', '#', '{}', '{a}', '$&'],
  ...[
    "'; DROP TABLE users; --",
    '<script>alert(1)</script>',
    '#{7*7}',
    'redis.call("FLUSHALL")',
    '1 0 0 0',
    '::',
    '::1%eth0',
  ],
];
const numbers = [0, 1, 2, 10, 1_000, 1_000_000_000, 1_000_000_001, -1, 1.5, 1e21, 1e308, 2 ** 53, -0, 2 ** 31, 0.1];
const methods = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'PROPFIND', 'LOCK', 'SEARCH'];
const types = [
  ...['application/json', 'application/json; charset=utf-8', 'APPLICATION/JSON', 'text/plain', 'text/html', 'x', ''],
  ...['application/x-www-form-urlencoded', 'multipart/form-data; boundary=x', 'application/json; charset=utf-16'],
];
const oddHeaders: readonly (readonly [string, readonly string[]])[] = [
  ['If-Match', ['*', '"1"', 'W/"1"', '"x', '1', '"1", "2"', ',', '"9007199254740993"']],
  ['If-None-Match', ['*', '"1"', 'W/"1", "2"', '""', 'x']],
  ['X-Forwarded-For', ['203.0.113.7', '203.0.113.7, 10.0.0.1', 'evil', '::1', ',', '']],
  ['X-Original-URI', ['/login', '//login', '/%zz', 'http://x/y', '*', '']],
  ['X-Original-Method', ['GET', 'get', 'G E T', '😀'.repeat(3), '']],
  ['X-API-Key', ['sk_1', 'é', ' ', 'x'.repeat(5_000)]],
  ['Authorization', ['Bearer x', 'Basic x', 'Bearer', '']],
  ['Accept', ['text/html', '*/*', 'x', '']],
  ['Accept-Encoding', ['gzip', 'br', '*;q=0']],
  ['Content-Encoding', ['gzip', 'identity']],
  ['Cookie', ['__proto__=1', 'x'.repeat(3_000)]],
  ['Origin', ['https://evil.example', 'null']],
  ['Range', ['bytes=0-1', 'bytes=-']],
  ['__proto__', ['x']],
];

/** Requests that the document describes, and such as are a little, or a lot, different. */
export class Generator {
  readonly #document: Document;
  readonly #random: Random;
  readonly #operations: readonly (readonly [path: string, method: string, operation: Operation])[];

  constructor(document: Document, random: Random) {
    this.#document = document;
    this.#random = random;
    const all = Object.entries(document.paths).flatMap(([path, operations]) =>
      Object.entries(operations).map(([method, operation]) => [path, method.toUpperCase(), operation] as const),
    );
    // Most of what a service is asked are checks.
    this.#operations = all.flatMap((one) => Array(/check|report|auth|simulate/.test(one[0]) ? 3 : 1).fill(one));
  }

  request(): Sent {
    const random = this.#random;
    const [template, method, { parameters = [], requestBody }] = random.of(this.#operations);
    // How far the request is from a good one: a third are as the document says.
    const oddity = random.of([0, 0, 0.1, 0.3]);
    const schema = requestBody && Object.values(requestBody.content)[0]?.schema;
    const headers: Record<string, string> = {};
    let body = schema && this.#bodyOf(schema, oddity);
    if (body === undefined && random.is(oddity / 4)) body = random.of(['{}', '[]', 'x', 'null', '{"a":1}']);
    if (body !== undefined && !random.is(oddity / 6)) headers['Content-Type'] = 'application/json';
    if (random.is(oddity / 4)) headers['Content-Type'] = random.of(types);
    if (template.includes('/auth') && !random.is(oddity)) headers['X-Forwarded-For'] = `203.0.113.${random.below(256)}`;
    if (/rules|lists/.test(template) && random.is(0.05)) {
      if (method === 'GET') headers['If-None-Match'] = '*';
      else headers['If-Match'] = random.of(['*', '"1"', '"99"']);
    }
    while (random.is(oddity)) {
      const [name, values] = random.of(oddHeaders);
      headers[name] = latin(random.of(values));
    }
    return {
      method: random.is(oddity / 5) ? random.of(methods) : method,
      path: this.#pathOf(template, parameters, oddity),
      headers,
      body,
    };
  }

  #pathOf(template: string, parameters: readonly Parameter[], oddity: number): string {
    const random = this.#random;
    let path = template.replace(/\{(\w+)\}/g, (_, name) => {
      const schema = parameters.find((one) => one.in === 'path' && one.name === name)?.schema ?? {};
      return this.#encoded(this.#value(schema, oddity, name), oddity);
    });
    if (random.is(oddity / 6)) path += this.#encoded(random.of(words), 1);
    if (random.is(oddity / 6)) path = path.replace('/', random.of(['//', '/./', '/../', '/%2F', '/;x/']));
    const query = parameters
      .filter((one) => one.in === 'query' && (one.required ? !random.is(oddity / 2) : random.is(0.4)))
      .map(({ name, schema }) => `${name}=${this.#encoded(this.#value(schema, oddity, name), oddity)}`);
    while (random.is(oddity / 2))
      query.push(`${this.#encoded(random.of(words), 0.5)}=${this.#encoded(random.of(words), 0.5)}`);
    if (random.is(oddity / 5) && query[0] !== undefined) query.push(query[0]);
    return wirePath(query.length === 0 ? path : `${path}?${query.join('&')}`);
  }

  #bodyOf(schema: Schema, oddity: number): string {
    const random = this.#random;
    const text = JSON.stringify(this.#value(schema, oddity, ''));
    if (!random.is(oddity / 3)) return text;
    const kind = random.below(8);
    if (kind === 0) return text.slice(0, random.below(text.length + 1));
    if (kind === 1) return text.replace('{', '{"__proto__":{"allowed":true},');
    if (kind === 2) return text.replace('{', '{"constructor":{"prototype":{"x":1}},');
    if (kind === 3) return `${'['.repeat(2_000)}${text}`;
    if (kind === 4) return `${'{"a":'.repeat(300)}1${'}'.repeat(300)}`;
    if (kind === 5) return text.replace(/[:,]/, random.of([',', ':', '\0', '', ' 01', "'"]));
    if (kind === 6) return `\ufeff${text}`;
    return `${text}${random.of(['}', ' x', '\n', ' '.repeat(5_000), text])}`;
  }

  #value(given: Schema, oddity: number, name: string): unknown {
    const random = this.#random;
    const schema = this.#resolved(given);
    if (random.is(oddity / 2)) return this.#odd();
    if (schema.const !== undefined) return schema.const;
    if (schema.enum !== undefined) return random.of(schema.enum);
    const type = Array.isArray(schema.type) ? random.of(schema.type as string[]) : schema.type;
    if (type === 'integer' || type === 'number') return this.#number(schema);
    if (type === 'boolean') return random.is(0.5);
    if (type === 'null') return null;
    if (type === 'array') {
      const length = random.of([1, 1, 2, 3, 8]);
      return Array.from({ length }, () => this.#value(schema.items ?? {}, oddity, name));
    }
    if (type === 'object' || schema.properties !== undefined) return this.#object(schema, oddity);
    return this.#text(name);
  }

  #object({ properties = {}, required = [] }: Schema, oddity: number): object {
    const random = this.#random;
    const made = Object.entries(properties)
      .filter(([name]) => (required.includes(name) ? !random.is(oddity / 3) : random.is(0.35)))
      .map(([name, schema]) => [name, this.#value(schema, oddity, name)] as const);
    const extra = random.is(oddity / 3) ? [[random.of(words), this.#odd()] as const] : [];
    return Object.fromEntries([...made, ...extra]);
  }

  /** Texts that are right for a field of that name most of the time. */
  #text(name: string): string {
    const random = this.#random;
    if (random.is(0.03)) return random.of(words).repeat(random.of([1, 10, 300]));
    const good: Readonly<Record<string, () => string>> = {
      user_id: () => `user-${random.below(5_000)}`,
      api_key: () => `sk_${random.below(2_000)}`,
      ip: () =>
        random.is(0.7) ? `203.0.${random.below(256)}.${random.below(256)}` : `2001:db8:${random.below(999)}::1`,
      method: () => random.of(['GET', 'POST', 'put']),
      endpoint: () => `/${random.of(['login', 'files/1', 'files/a/b', 'p'])}${random.is(0.3) ? random.below(200) : ''}`,
      tier: () => random.of(['free', 'pro']),
      id: () => `rule-${random.below(60)}`,
      window: () => random.of(['1s', '1m', '1h', '1d', '5m']),
      step: () => random.of(['1m', '5m', '1h', '1d']),
      entry: () => random.of([`user:user-${random.below(500)}`, `198.51.100.${random.below(256)}`, '198.51.100.0/24']),
      from: () => new Date(Date.now() - random.below(90_000_000)).toISOString(),
      to: () => new Date(Date.now() - random.below(3_000_000)).toISOString(),
      expires_at: () => new Date(Date.now() + random.of([50, 500, 1e6, 1e12])).toISOString(),
      cost: () => String(random.below(10)),
    };
    const numeric = /^(max_tokens|refill_rate|capacity|leak_rate)$/.test(name);
    return numeric ? String(random.below(100)) : Object.hasOwn(good, name) ? good[name]!() : random.of(words);
  }

  #number({ minimum = 0, maximum = 1_000 }: Schema): number {
    const random = this.#random;
    if (random.is(0.2)) return random.of([minimum, maximum]);
    return minimum + random.below(Math.min(maximum - minimum, 1_000) + 1);
  }

  #odd(): unknown {
    const random = this.#random;
    const kind = random.below(10);
    if (kind < 4) return random.of(words);
    if (kind < 6) return random.of(numbers);
    if (kind === 6) return random.of(words).repeat(random.of([50, 400]));
    return random.of<unknown>([null, true, false, [], {}, [[]], { a: { b: 1 } }, [null], ['a', 1]]);
  }

  #encoded(value: unknown, oddity: number): string {
    const text = typeof value === 'string' ? value : String(JSON.stringify(value));
    if (this.#random.is(oddity / 4)) return text;
    return encodeURIComponent(wellFormed(text));
  }

  #resolved(schema: Schema): Schema {
    const name = schema.$ref?.split('/').at(-1);
    return name === undefined ? schema : (this.#document.components.schemas[name] ?? {});
  }
}

/** A path without what would end the line, or the path, of a request: the parser of HTTP is tried elsewhere. */
function wirePath(path: string): string {
  const clean = [...path].map((char) =>
    /[\x21-\x7e]/.test(char) && char !== '#' ? char : encodeURIComponent(wellFormed(char)),
  );
  return clean.join('').slice(0, 6_000);
}

function latin(text: string): string {
  return text.replace(/[^\x20-\x7e]/gu, '?');
}

/** Without halves of characters, which have no encoding. */
function wellFormed(text: string): string {
  return Buffer.from(text).toString();
}
