// What is the service asked, again and again: checks of many users, of gateways too, and batches of them?

/** A request as it goes over the wire. */
export type Wire = Buffer;

export const endpoints = [
  'POST /ratelimit/check',
  'GET /check',
  'GET /ratelimit/auth',
  'POST /ratelimit/check/batch',
] as const;
export type Endpoint = (typeof endpoints)[number];

/** Checks in each batch: as many as the service takes. */
export const perBatch = 1_000;

const paths = ['/users/17', '/login', '/files/a/b.txt', '/search?q=sluice', '/'];

/** The requests that are sent in turn, of as many users. */
export function requestsTo(endpoint: Endpoint, users: number): readonly Wire[] {
  switch (endpoint) {
    case 'POST /ratelimit/check':
      return each(users, (i) => post('/ratelimit/check', JSON.stringify(checkOf(i))));
    case 'GET /check':
      return each(users, (i) => get(`/check?user_id=${userOf(i)}`));
    case 'GET /ratelimit/auth':
      return each(users, (i) =>
        get(
          '/ratelimit/auth?refused=403&user=x-user',
          `X-Forwarded-For: ${addressOf(i)}\r\nX-Original-Method: GET\r\nX-Original-URI: ${pathOf(i)}\r\nX-User: ${userOf(i)}\r\n`,
        ),
      );
    case 'POST /ratelimit/check/batch':
      return each(Math.ceil(users / perBatch), (i) => {
        const checks = each(perBatch, (k) => checkOf((i * perBatch + k) % users));
        return post('/ratelimit/check/batch', JSON.stringify({ checks }));
      });
  }
}

function checkOf(i: number): object {
  return { user_id: userOf(i), ip: addressOf(i), method: 'GET', endpoint: pathOf(i) };
}

function userOf(i: number): string {
  return `user-${String(i).padStart(6, '0')}`;
}

function addressOf(i: number): string {
  return `10.${(i >>> 16) & 255}.${(i >>> 8) & 255}.${i & 255}`;
}

function pathOf(i: number): string {
  return paths[i % paths.length]!;
}

function get(path: string, fields = ''): Wire {
  return Buffer.from(`GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\n${fields}\r\n`);
}

function post(path: string, body: string): Wire {
  const fields = `Host: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n`;
  return Buffer.from(`POST ${path} HTTP/1.1\r\n${fields}\r\n${body}`);
}

function each<T>(count: number, make: (i: number) => T): T[] {
  return Array.from({ length: count }, (_, i) => make(i));
}
