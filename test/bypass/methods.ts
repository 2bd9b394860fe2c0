import assert from 'node:assert/strict';
import { type Ask, type Attempt, bytesOf } from './attack.ts';

/** Requests for the login that are no plain POST; the login is exhausted, and none of them may reach it. */
const posts: Readonly<Record<string, Ask>> = {
  'in lower case': { method: 'post' },
  'in mixed case': { method: 'Post' },
  'GET instead': { method: 'GET' },
  'HEAD instead': { method: 'HEAD' },
  'PUT instead': { method: 'PUT' },
  'PATCH instead': { method: 'PATCH' },
  'OPTIONS instead': { method: 'OPTIONS' },
  'TRACE instead': { method: 'TRACE' },
  'CONNECT instead': { method: 'CONNECT' },
  'QUERY instead': { method: 'QUERY' },
  'one that does not exist': { method: 'LOGIN' },
  'with a space before it': { method: ' POST' },
  'with a tab behind it': { method: 'POST\t' },
  twice: { method: 'POST POST' },
  'with another in a header': { headers: ['X-HTTP-Method-Override: GET'] },
  'in a header, over GET': { method: 'GET', headers: ['X-HTTP-Method-Override: POST'] },
  'in the query': { method: 'GET', path: '/login?_method=POST' },
  'with HTTP/1.0': { version: 'HTTP/1.0' },
  'with HTTP/2.0': { version: 'HTTP/2.0' },
  'with HTTP/0.9': { version: '' },
  'with an upgrade': { headers: ['Upgrade: websocket', 'Connection: upgrade'] },
  'with an upgrade to HTTP/2': {
    headers: ['Upgrade: h2c', 'Connection: upgrade, http2-settings', 'HTTP2-Settings: AA'],
  },
  'with an expectation': { headers: ['Expect: 100-continue'] },
  'with an expectation that nobody meets': { headers: ['Expect: 200-ok'] },
  'with another host': { headers: ['X-Forwarded-Host: other.example'] },
  'with an original URL of another path': { headers: ['X-Original-URL: /health', 'X-Rewrite-URL: /health'] },
  'with a forwarded prefix': { headers: ['X-Forwarded-Prefix: /assets', 'X-Forwarded-Path: /health'] },
  'with a purpose': { headers: ['Purpose: prefetch', 'Sec-Purpose: prefetch'] },
  'with a preflight': {
    method: 'OPTIONS',
    headers: ['Origin: https://a.example', 'Access-Control-Request-Method: POST'],
  },
  'with headers that name no hop': { headers: ['Connection: x-forwarded-for, x-api-key'] },
};

const search: Ask = { method: 'GET', path: '/search' };

export const methods: readonly Attempt[] = [
  ...Object.entries(posts).map(
    ([how, ask]): Attempt => ({
      title: `the method ${how}`,
      async run(target) {
        await target.exhaust();
        await target.repeat(4, ask);
      },
    }),
  ),
  ...['post', 'Post', 'POST '].map(
    (method): Attempt => ({
      title: `the method ${JSON.stringify(method)} from a header that the server obeys`,
      overridesMethod: true,
      async run(target) {
        await target.exhaust();
        await target.repeat(4, { method: 'GET', headers: [`X-HTTP-Method-Override: ${method}`] });
      },
    }),
  ),
  {
    title: 'HEAD where GET is limited',
    route: 'GET /search',
    async run(target) {
      await target.exhaust(search);
      assert.deepEqual(await target.repeat(2, { ...search, method: 'HEAD' }), [429, 429]);
    },
  },
  {
    title: 'HEAD first, and GET then',
    route: 'GET /search',
    async run(target) {
      await target.repeat(2, { ...search, method: 'HEAD' });
      assert.equal(await target.send(search), 429);
    },
  },
  {
    title: 'a second request in the body of the first',
    async run(target) {
      await target.exhaust();
      const hidden = bytesOf({});
      await target.raw(
        `POST /health HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${hidden}`,
      );
      await target.raw(`GET /health HTTP/1.1\r\nHost: a\r\nContent-Length: ${hidden.length}\r\n\r\n${hidden}${hidden}`);
      await target.raw(`GET /health HTTP/1.1\r\nHost: a\r\n\r\n${hidden}`);
    },
  },
];
