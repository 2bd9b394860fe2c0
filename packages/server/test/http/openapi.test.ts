import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import { expect, it } from 'vitest';
import type { Exchange } from '../support/client.ts';
import { onBothBackends, onEmbedded } from '../support/service.ts';

interface Parameter {
  readonly name: string;
  readonly in: string;
  readonly required?: boolean;
  readonly schema: object;
}

interface Operation {
  readonly summary?: string;
  readonly tags?: readonly string[];
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema: object }>> };
  readonly responses: Readonly<
    Record<
      string,
      {
        readonly description?: string;
        readonly content?: Readonly<Record<string, { schema: object }>>;
        readonly headers?: Readonly<Record<string, object>>;
      }
    >
  >;
}

interface Document {
  readonly openapi: string;
  readonly info: { readonly title: string; readonly version: string };
  readonly tags: readonly { readonly name: string }[];
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, object>>; readonly securitySchemes: object };
}

const methods = ['get', 'put', 'post', 'delete', 'options', 'head', 'patch', 'trace'];

/** Every endpoint there is, but for the document itself and the page that shows it. */
const endpoints = [
  'POST /ratelimit/check',
  'POST /ratelimit/check/batch',
  'POST /ratelimit/report',
  'POST /ratelimit/simulate',
  'GET /ratelimit/status/{user_id}',
  'DELETE /ratelimit/status/{user_id}',
  'POST /ratelimit/rules',
  'GET /ratelimit/rules',
  'GET /ratelimit/rules/{id}',
  'PUT /ratelimit/rules/{id}',
  'DELETE /ratelimit/rules/{id}',
  'POST /ratelimit/rules/recover',
  'GET /ratelimit/audit',
  'GET /ratelimit/lists/{list}',
  'GET /ratelimit/lists/{list}/{entry}',
  'PUT /ratelimit/lists/{list}/{entry}',
  'DELETE /ratelimit/lists/{list}/{entry}',
  'GET /check',
  'GET /users',
  'POST /users',
  'DELETE /users',
  'GET /ratelimit/auth',
  'POST /ratelimit/auth',
  'GET /ratelimit/analytics',
  'GET /ratelimit/analytics/top',
  'GET /metrics',
  'GET /livez',
  'GET /readyz',
];

function operationsOf({ paths }: Document): readonly (readonly [name: string, operation: Operation])[] {
  return Object.entries(paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, operation]) => [`${method.toUpperCase()} ${path}`, operation] as const),
  );
}

/** Every value of `$ref` in a document, wherever it stands. */
function* refsIn(value: unknown): Iterable<string> {
  if (typeof value !== 'object' || value === null) return;
  for (const [key, inner] of Object.entries(value)) {
    if (key === '$ref' && typeof inner === 'string') yield inner;
    else yield* refsIn(inner);
  }
}

function resolve(document: Document, ref: string): unknown {
  expect(ref).toMatch(/^#\//);
  const names = ref.slice(2).split('/');
  return names.reduce<unknown>((at, name) => (at as Record<string, unknown> | undefined)?.[name], document);
}

/** Holds answers to a document. */
class Contract {
  readonly #document: Document;
  readonly #ajv = new Ajv2020({ strict: false, formats: { 'date-time': true } });
  readonly #validators = new Map<object, ValidateFunction>();

  constructor(document: Document) {
    this.#document = document;
    this.#ajv.addSchema({ $id: 'document', components: document.components });
  }

  compile(schema: object): ValidateFunction {
    let validate = this.#validators.get(schema);
    if (validate === undefined) {
      const text = JSON.stringify(schema).replaceAll('"#/components/', '"document#/components/');
      validate = this.#ajv.compile(JSON.parse(text));
      this.#validators.set(schema, validate);
    }
    return validate;
  }

  /** The operation that was asked, and what an answer has that the document does not say; `undefined` for nothing. */
  breach({ method, path, reply }: Exchange): readonly [name: string, what: string | undefined] {
    const [plain] = path.split('?');
    const templates = Object.keys(this.#document.paths).filter((template) => {
      const pattern = template.replace(/\{[^}]+\}/g, '[^/]+').replaceAll('.', '\\.');
      return new RegExp(`^${pattern}$`).test(plain!);
    });
    const template = templates.sort((a, b) => a.split('{').length - b.split('{').length)[0];
    const name = `${method} ${template}`;
    const operation = this.#document.paths[template ?? '']?.[method.toLowerCase()];
    if (operation === undefined) return [name, 'there is no such operation'];
    const response = operation.responses[String(reply.status)];
    if (response === undefined) return [name, `${reply.status} is not documented`];
    const media = reply.headers['content-type']?.split(';')[0]?.trim();
    if (response.content === undefined) return [name, reply.text === '' ? undefined : 'it has a body'];
    const content = response.content[media ?? ''];
    if (content === undefined) return [name, `${reply.status} with ${media} is not documented`];
    const validate = this.compile(content.schema);
    const body = /json$/.test(media!) ? reply.json : reply.text;
    return [name, validate(body) ? undefined : `${this.#ajv.errorsText(validate.errors)}: ${reply.text}`];
  }
}

onEmbedded('GET /openapi.json', (start) => {
  it('is an OpenAPI 3.1 document of every endpoint', async () => {
    const service = await start();
    const { status, headers, json } = await service.get('/openapi.json');
    expect({ status, type: headers['content-type'] }).toMatchObject({ status: 200, type: /json/ });
    const document = json as Document;
    expect(document.openapi).toMatch(/^3\.1\.\d+$/);
    expect(document.info).toMatchObject({ title: 'Sluice', version: expect.stringMatching(/^\d+\.\d+\.\d+/) });
    expect(
      operationsOf(document)
        .map(([name]) => name)
        .sort(),
    ).toEqual([...endpoints].sort());
    const fields = ['openapi', 'info', 'components', 'security', 'tags', 'paths', 'servers', 'webhooks'];
    expect(Object.keys(document).filter((field) => !fields.includes(field))).toEqual([]);
    const tags = document.tags.map(({ name }) => name);
    for (const [name, { summary, parameters = [], responses, requestBody, tags: own }] of operationsOf(document)) {
      const [method, path] = name.split(' ') as [string, string];
      expect(methods, name).toContain(method.toLowerCase());
      expect(summary, name).toMatch(/^[A-Z]/);
      for (const tag of own ?? []) expect(tags, name).toContain(tag);
      // Every part of the path is a parameter, once, and required.
      const inPath = parameters.filter((parameter) => parameter.in === 'path');
      expect(inPath.map((parameter) => `{${parameter.name}}`).sort(), name).toEqual(
        (path.match(/\{\w+\}/g) ?? []).sort(),
      );
      expect(
        inPath.every(({ required }) => required),
        name,
      ).toBe(true);
      const keys = parameters.map((parameter) => `${parameter.in} ${parameter.name}`);
      expect(new Set(keys).size, name).toBe(keys.length);
      if (requestBody !== undefined) expect(Object.keys(requestBody.content), name).toEqual(['application/json']);
      expect(
        Object.keys(responses).some((code) => code.startsWith('2')),
        name,
      ).toBe(true);
      for (const [code, { description }] of Object.entries(responses)) {
        expect(code, name).toMatch(/^([2-5]\d\d|default)$/);
        expect(description, `${name} ${code}`).toMatch(/^[A-Z].*\.$/);
      }
    }
  });

  it('says which header fields count, and what the answers are besides decisions', async () => {
    const service = await start();
    const document = (await service.get('/openapi.json')).json as Document;
    const operations = new Map(operationsOf(document));
    const asked = (name: string) =>
      (operations.get(name)!.parameters ?? []).filter((parameter) => parameter.in === 'header').map((one) => one.name);
    const answered = (name: string, status: number) =>
      Object.keys(operations.get(name)!.responses[status]!.headers ?? {}).sort();
    for (const path of ['/ratelimit/rules', '/ratelimit/rules/{id}', '/ratelimit/lists/{list}/{entry}']) {
      expect(asked(`GET ${path}`), path).toEqual(['If-None-Match']);
      for (const status of [200, 304]) expect(answered(`GET ${path}`, status), path).toEqual(['ETag']);
      if (path === '/ratelimit/rules') continue;
      for (const method of ['PUT', 'DELETE']) {
        expect(asked(`${method} ${path}`), path).toEqual(['If-Match', 'If-None-Match']);
      }
      expect(answered(`PUT ${path}`, 200), path).toEqual(['ETag']);
    }
    expect(answered('POST /ratelimit/rules', 201)).toEqual(['ETag', 'Location']);
    const limits = ['X-RateLimit-Limit', 'X-RateLimit-Remaining', 'X-RateLimit-Reset'];
    for (const name of ['POST /ratelimit/check', 'GET /check', 'GET /ratelimit/auth']) {
      expect(answered(name, 200), name).toEqual(limits);
      expect(answered(name, 429), name).toEqual(['Retry-After', ...limits]);
    }
    expect(answered('GET /ratelimit/rules', 429)).toEqual(['Retry-After']);
    expect(operations.get('POST /users')!.responses[507]).toBeDefined();
    // Nothing is an object of which nothing is known.
    for (const [name, { responses }] of operations) {
      for (const [status, { content = {} }] of Object.entries(responses)) {
        for (const { schema } of Object.values(content)) {
          const { type, properties } = schema as { type?: string; properties?: object };
          expect(type === 'object' && properties === undefined, `${name} ${status}`).toBe(false);
        }
      }
    }
  });

  it('has no reference that leads nowhere, and no schema that is none', async () => {
    const service = await start();
    const document = (await service.get('/openapi.json')).json as Document;
    const refs = [...refsIn(document)];
    expect(refs.length).toBeGreaterThan(20);
    for (const ref of refs) expect(resolve(document, ref), ref).toBeTypeOf('object');
    const contract = new Contract(document);
    for (const [, { parameters = [], requestBody, responses }] of operationsOf(document)) {
      const contents = [requestBody, ...Object.values(responses)].flatMap((part) => Object.values(part?.content ?? {}));
      for (const { schema } of [...parameters, ...contents]) expect(contract.compile(schema)).toBeTypeOf('function');
    }
  });

  it('says of all that are wrong that they are problem details', async () => {
    const service = await start();
    const document = (await service.get('/openapi.json')).json as Document;
    for (const [name, { responses }] of operationsOf(document)) {
      for (const [code, { content }] of Object.entries(responses)) {
        if (!/^([45]\d\d|default)$/.test(code)) continue;
        expect(Object.keys(content ?? {}), `${name} ${code}`).toContain('application/problem+json');
      }
    }
  });
});

onBothBackends('What the endpoints answer', (start) => {
  it('is what the document says, of every endpoint', async () => {
    const [admin, check] = ['a'.repeat(32), 'c'.repeat(32)];
    const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
    const service = await start(
      {
        defaults: { algorithm: 'token-bucket', limit: 2, window: '365d' },
        adminTokens: [admin],
        checkTokens: [check],
        bodyLimit: 2_048,
      },
      { headers: bearer(admin) },
    );
    const rule = { endpoint: '/login', limit: 1, window: '365d' };
    const shadow = { ...rule, id: 'shade', mode: 'shadow', endpoint: '/shade' };
    await service.post('/ratelimit/rules?dry_run=true', { ...rule, id: 'login' });
    await service.post('/ratelimit/rules', { ...rule, id: 'login' });
    await service.post('/ratelimit/rules', { ...rule, id: 'login' });
    await service.post('/ratelimit/rules', shadow);
    await service.post('/ratelimit/rules', { endpoint: 'x' });
    const { headers } = await service.get('/ratelimit/rules/login');
    await service.get('/ratelimit/rules/login', { 'if-none-match': headers.etag! });
    await service.get('/ratelimit/rules/nothing');
    const list = await service.get('/ratelimit/rules');
    await service.get('/ratelimit/rules', { 'if-none-match': list.headers.etag! });
    await service.put('/ratelimit/rules/login', { ...rule, limit: 2 }, { 'if-match': '"999"' });
    await service.put('/ratelimit/rules/login', { ...rule, limit: 2 });
    await service.put('/ratelimit/rules/other', { ...rule, unlimited: true, limit: undefined, window: undefined });
    await service.put('/ratelimit/rules/other', { endpoint: '/free', unlimited: true });
    await service.delete('/ratelimit/rules/other');
    await service.delete('/ratelimit/rules/other');
    const entry = await service.put('/ratelimit/lists/block/203.0.113.0%2F24', { note: 'why' });
    await service.put('/ratelimit/lists/allow/user:root', { expires_at: '2099-01-01T00:00:00Z' });
    await service.put('/ratelimit/lists/allow/user:root');
    await service.get('/ratelimit/lists/block/203.0.113.0%2F24');
    await service.get('/ratelimit/lists/block/203.0.113.0%2F24', { 'if-none-match': entry.headers.etag! });
    await service.get('/ratelimit/lists/block/192.0.2.1');
    await service.get('/ratelimit/lists/block');
    await service.get('/ratelimit/audit');
    await service.post('/ratelimit/rules/recover', { from: 'storage' });

    const alice = { user_id: 'alice' };
    for (const more of [{}, {}, {}, { endpoint: '/login' }, { endpoint: '/shade' }, { cost: 9 }, { ip: 'x' }]) {
      await service.check({ ...alice, ...more });
      await service.post('/ratelimit/simulate', { ...alice, ...more });
    }
    for (const who of [{ user_id: 'root' }, { ip: '203.0.113.7' }, { api_key: 'k', ip: '192.0.2.1' }]) {
      await service.check(who);
      await service.post('/ratelimit/simulate', who);
      await service.post('/ratelimit/report', { ...who, cost: 1 });
    }
    await service.post('/ratelimit/report', { ...alice, cost: 100 });
    await service.post('/ratelimit/report', alice);
    await service.post('/ratelimit/check/batch', { checks: [alice, { user_id: 'root' }, { ip: '203.0.113.7' }] });
    await service.post('/ratelimit/check/batch', { checks: [] });
    await service.check({ ...alice, endpoint: `/${'x'.repeat(3_000)}` });
    await service.check('alice', { 'content-type': 'text/plain' });
    await service.get('/check?user_id=alice');
    await service.get('/check?user_id=bob');
    await service.get('/check');
    await service.get('/ratelimit/status/alice');
    await service.get('/ratelimit/status/nobody');
    await service.get('/users?user_id=alice');
    await service.post('/users?user_id=alice&max_tokens=10&refill_rate=2');
    await service.post('/users?user_id=carol&capacity=10&leak_rate=0.5');
    await service.post('/users?user_id=carol&capacity=10');
    for (const path of ['/users?user_id=alice', '/users?user_id=nobody', '/users', '/users?limit=0'])
      await service.get(path);
    await service.delete('/ratelimit/status/alice');
    await service.delete('/ratelimit/status/nobody');
    await service.delete('/users?user_id=alice');
    await service.delete('/users?user_id=alice');
    const gateway = { 'x-forwarded-for': '192.0.2.1', 'x-original-uri': '/login' };
    for (let i = 0; i < 3; i++) await service.get('/ratelimit/auth?refused=403', gateway);
    await service.post('/ratelimit/auth', 'body', { 'x-forwarded-for': '192.0.2.9', 'content-type': 'text/plain' });
    await service.get('/ratelimit/auth', { 'x-forwarded-for': '203.0.113.7' });
    await service.get('/ratelimit/auth');
    for (const by of ['rule', 'endpoint', 'tier', 'decision', 'user'])
      await service.get(`/ratelimit/analytics?by=${by}`);
    for (const by of ['refused', 'requests', 'users']) await service.get(`/ratelimit/analytics/top?by=${by}`);
    for (const path of ['/metrics', '/livez', '/readyz']) await service.get(path);
    await service.delete('/ratelimit/lists/allow/user:root');
    await service.delete('/ratelimit/lists/allow/user:root');

    // Each that needs a token once without one, once with one that is unknown, and once with one of the other scope.
    for (const name of endpoints) {
      const [method, template] = name.split(' ') as [string, string];
      const path = template.replace('{list}', 'allow').replace(/\{\w+\}/g, '192.0.2.1');
      const body = /POST|PUT/.test(method) ? {} : undefined;
      for (const authorization of ['Basic eDp5', 'Bearer unknown', `Bearer ${check}`]) {
        await service.send(method, path, body, { authorization });
      }
    }

    const contract = new Contract((await service.get('/openapi.json')).json as Document);
    service.exchanges.pop();
    const met = new Map<string, Set<number>>();
    for (const exchange of service.exchanges) {
      const [name, breach] = contract.breach(exchange);
      expect(breach, `${exchange.method} ${exchange.path}`).toBeUndefined();
      met.set(name, (met.get(name) ?? new Set()).add(exchange.reply.status));
    }
    expect([...met.keys()].sort()).toEqual([...endpoints].sort());
    for (const [name, statuses] of met) {
      // There is nothing to recover.
      if (name === 'POST /ratelimit/rules/recover') expect(statuses).toContain(409);
      else expect(Math.min(...statuses), name).toBeLessThan(300);
    }
  });
});
