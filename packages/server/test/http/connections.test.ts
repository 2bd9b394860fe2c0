import { expect, it } from 'vitest';
import { exchange, RawConnection } from '../support/raw.ts';
import { onEmbedded } from '../support/service.ts';

const host = 'Host: localhost\r\n';
const post = `POST /ratelimit/check HTTP/1.1\r\n${host}Content-Type: application/json\r\n`;

/** The first answer of what came back. */
function parsed(text: string): { status: number; fields: Record<string, string>; body: string } {
  const [head = '', body = ''] = text.split('\r\n\r\n');
  const [line = '', ...lines] = head.split('\r\n');
  const fields = lines.map((field) => [field.split(':')[0]!.toLowerCase(), field.replace(/^[^:]*: */, '')]);
  return { status: Number(line.split(' ')[1]), fields: Object.fromEntries(fields), body };
}

onEmbedded('A connection', (start) => {
  it.each([
    ['is no HTTP', 'GARBAGE\r\n\r\n', 400],
    ['has a field that is none', `GET /livez HTTP/1.1\r\n${host}X y: a\r\n\r\n`, 400],
    ['has two lengths', `${post}Content-Length: 5\r\nContent-Length: 15\r\n\r\n{}`, 400],
    ['has no Host', 'GET /livez HTTP/1.1\r\nConnection: close\r\n\r\n', 400],
    ['has an escape that is none', `GET /%zz HTTP/1.1\r\n${host}Connection: close\r\n\r\n`, 400],
    ['has a field that is too long', `GET /livez HTTP/1.1\r\n${host}X: ${'a'.repeat(70_000)}\r\n\r\n`, 431],
    ['is for no endpoint', `GET /nothing HTTP/1.1\r\n${host}Connection: close\r\n\r\n`, 404],
  ])('with a request that %s is answered with problem details, and no page', async (_, bytes, status) => {
    const service = await start();
    const answer = parsed(await exchange(service.url, bytes));
    expect(answer).toMatchObject({
      status,
      fields: {
        'content-type': expect.stringMatching(/^application\/problem\+json/),
        'content-length': String(answer.body.length),
        'content-security-policy': expect.stringContaining("default-src 'none'"),
        'x-content-type-options': 'nosniff',
        'x-frame-options': 'SAMEORIGIN',
        connection: 'close',
      },
    });
    expect(JSON.parse(answer.body)).toMatchObject({ type: 'about:blank', status });
    expect((await service.get('/livez')).status).toBe(200);
  });

  it('with an answer on its way is not given a second one for what follows it', async () => {
    const service = await start();
    const text = await exchange(service.url, `GET /livez HTTP/1.1\r\n${host}\r\nGARBAGE\r\n\r\n`);
    const statuses = [...text.matchAll(/HTTP\/1\.1 (\d{3})/g)].map(([, status]) => status);
    expect([[], ['200'], ['200', '400'], ['400']]).toContainEqual(statuses);
    for (const part of text.split(/(?=HTTP\/1\.1 )/).filter((one) => one !== '')) {
      const { fields, body } = parsed(part);
      expect(body.length, text).toBe(Number(fields['content-length']));
    }
  });

  it.each([
    ['stops amid a header', 'GET /livez HTTP/1.1\r\nHo'],
    ['stops amid a body', `${post}Content-Length: 99\r\n\r\n{`],
  ])('whose client %s is given up', { timeout: 60_000 }, async (_, bytes) => {
    const service = await start();
    const text = await exchange(service.url, bytes);
    if (text !== '') expect(parsed(text)).toMatchObject({ status: 408, fields: { connection: 'close' } });
    expect((await service.get('/livez')).status).toBe(200);
  });

  it('that is kept is told to end while the service shuts down', async () => {
    const service = await start();
    const body = JSON.stringify({ endpoint: '/late', limit: 7, window: '1h' });
    const late = new RawConnection(service.url).send(
      `PUT /ratelimit/rules/late HTTP/1.1\r\n${host}Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n`,
    );
    // Later than what was sent before it, this answer shows that the service has it.
    expect((await service.get('/livez')).headers.connection).toBe('keep-alive');
    const stopped = service.stop();
    // Closing goes its first steps at once.
    await new Promise((resolve) => setImmediate(resolve));
    late.send(body);
    expect(parsed(await late.closed())).toMatchObject({ status: 201, fields: { connection: 'close' } });
    await stopped;
  });
});
