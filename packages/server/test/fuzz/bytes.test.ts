import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { dataDirectory, ended, type Started, started } from '../faults/command.ts';
import { Random } from './random.ts';

let service: Started;
beforeAll(async () => {
  service = await started(['--data-dir', dataDirectory()]);
});
afterAll(() => ended(service));

const host = 'Host: localhost\r\n';
const check = '{"user_id":"a"}';
const post = `POST /ratelimit/check HTTP/1.1\r\n${host}Content-Type: application/json\r\n`;

/** What is no HTTP, or not quite. */
const texts: readonly string[] = [
  'GARBAGE\r\n\r\n',
  '\0\x01\x02\xff\xfe\r\n\r\n',
  '\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03',
  'GET /livez\r\n\r\n',
  `GET /livez HTTP/9.9\r\n${host}\r\n`,
  'GET /livez HTTP/1.1\r\n\r\n',
  `GET /livez HTTP/1.1\r\n${host}${host}\r\n`,
  `GET \\livez HTTP/1.1\r\n${host}\r\n`,
  `GET /liv ez HTTP/1.1\r\n${host}\r\n`,
  `GET http://other.example/livez HTTP/1.1\r\n${host}\r\n`,
  `GET * HTTP/1.1\r\n${host}\r\n`,
  `GET /${'a'.repeat(70_000)} HTTP/1.1\r\n${host}\r\n`,
  `GET /livez HTTP/1.1\r\n${host}X: ${'a'.repeat(70_000)}\r\n\r\n`,
  `GET /livez HTTP/1.1\r\n${host}${'X: a\r\n'.repeat(5_000)}\r\n`,
  `GET /livez HTTP/1.1\r\n${host}X y: a\r\n\r\n`,
  `GET /livez HTTP/1.1\r\n${host}X: a\0b\r\n\r\n`,
  `CONNECT other.example:443 HTTP/1.1\r\n${host}\r\n`,
  `GET /livez HTTP/1.1\r\n${host}Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n`,
  `PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n`,
  `${post}Content-Length: 5\r\nContent-Length: 15\r\n\r\n${check}`,
  `${post}Content-Length: -1\r\n\r\n${check}`,
  `${post}Content-Length: 99999999999999999999\r\n\r\n${check}`,
  `${post}Content-Length: 15\r\nTransfer-Encoding: chunked\r\n\r\n${check}`,
  `${post}Transfer-Encoding: chunked\r\n\r\nZZ\r\n${check}\r\n0\r\n\r\n`,
  `${post}Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n${check}`,
  `${post}Transfer-Encoding: chunked, chunked\r\n\r\nf\r\n${check}\r\n0\r\n\r\n`,
  `${post}Transfer-Encoding: gzip\r\n\r\n${check}`,
  `${post}Expect: 100-continue\r\nContent-Length: 15\r\n\r\n${check}`,
  `${post}Expect: something\r\nContent-Length: 15\r\n\r\n${check}`,
  `${post}Content-Length: 15\r\n\r\n${check}GET /nowhere HTTP/1.1\r\n${host}\r\nx`,
];

/** Sends bytes, ends the connection on this side, and resolves to all that comes back. */
function exchange(bytes: Buffer): Promise<string> {
  const { port } = new URL(service.client.url);
  return new Promise((resolve) => {
    let received = '';
    const socket = connect(Number(port), '127.0.0.1', () => socket.end(bytes));
    socket.setEncoding('latin1').on('data', (part) => {
      received += part;
    });
    socket.on('error', () => {});
    socket.once('close', () => resolve(received));
  });
}

function checkAnswer(text: string, sent: string): void {
  const statuses = [...text.matchAll(/^HTTP\/1\.1 (\d{3})/gm)].map(([, status]) => Number(status));
  for (const status of statuses) expect(status, sent.slice(0, 300)).toBeLessThan(500);
  expect(text, sent.slice(0, 300)).not.toMatch(/\n\s+at |node_modules|\.[jt]s:\d/);
}

describe('a service that is sent bytes which are not quite HTTP', { timeout: 120_000 }, () => {
  it.each(texts)('answers %j with an error of the client or ends the connection, and goes on', async (text) => {
    checkAnswer(await exchange(Buffer.from(text, 'latin1')), text);
    expect((await service.client.get('/livez')).status).toBe(200);
  });

  it('does so with 2,000 requests that are cut off, mixed up, or have other bytes in them', async () => {
    const random = new Random(20_261_121);
    const change = (text: string): Buffer => {
      const bytes = Buffer.from(text.slice(0, 3_000), 'latin1');
      const kind = random.below(3);
      if (kind === 0) return bytes.subarray(0, random.below(bytes.length));
      if (kind === 1) return Buffer.concat([bytes, Buffer.from(random.of(texts).slice(0, 500), 'latin1')]);
      for (let i = 0; i < 3; i++) bytes[random.below(bytes.length)] = random.below(256);
      return bytes;
    };
    const good = `${post}Content-Length: 15\r\n\r\n${check}`;
    const work = async () => {
      for (let i = 0; i < 125; i++) {
        const bytes = change(random.is(0.5) ? good : random.of(texts));
        checkAnswer(await exchange(bytes), bytes.toString('latin1'));
      }
    };
    await Promise.all(Array.from({ length: 16 }, work));
    expect((await service.client.check({ user_id: 'b' })).status).toBe(200);
    expect(service.running.stderr).toBe('');
  });
});
