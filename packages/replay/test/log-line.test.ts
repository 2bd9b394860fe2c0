import { describe, expect, it } from 'vitest';
import { parseLogLine } from '../src/log-line.ts';

const request = '"GET / HTTP/1.1" 200 2326';

describe('parseLogLine', () => {
  it('reads host, user and time of a line in Common Log Format', () => {
    expect(parseLogLine(`203.0.113.7 - alice [10/Oct/2000:13:55:36 -0700] ${request}`)).toEqual({
      host: '203.0.113.7',
      user: 'alice',
      time: Date.parse('2000-10-10T20:55:36Z') / 1_000,
      offset: -420,
    });
  });

  it('reads a line in Combined Log Format, also with more fields behind', () => {
    const line = `203.0.113.7 - - [10/Oct/2000:13:55:36 +0000] ${request} "http://example.com/" "agent" 0.003 "x"`;
    expect(parseLogLine(line)).toMatchObject({ host: '203.0.113.7', user: undefined });
  });

  it.each([
    ['an escaped quote in the request', '"GET /\\"\\" HTTP/1.1" 200 1'],
    ['a backslash at the end of the request', '"GET \\\\" 400 1'],
    ['a missing request', '"-" 408 -'],
    ['an empty request', '"" 400 0'],
    ['what looks like a time in the request', '"GET /] [01/Jan/1990:00:00:00 +0000] HTTP/1.1" 200 1'],
    ['an escaped end of time in the request', '"GET /] \\"GET / HTTP/1.1" 200 1'],
    ['a request of a megabyte', `"GET /${'a'.repeat(1_000_000)} HTTP/1.1" 414 1`],
  ])('takes the time of a line with %s from before the request', (_, rest) => {
    const line = parseLogLine(`203.0.113.7 - - [17/May/2015:10:05:03 +0000] ${rest}`);
    expect(line?.time).toBe(Date.parse('2015-05-17T10:05:03Z') / 1_000);
  });

  it.each(['2001:db8::7', '::1', 'crawler.example.com', 'unix:'])('takes %s for a client', (host) => {
    expect(parseLogLine(`${host} - - [17/May/2015:10:05:03 +0000] ${request}`)?.host).toBe(host);
  });

  it.each([
    ['with spaces', 'frank von stein', 'frank von stein'],
    [
      'that forges a time and a request',
      'x [01/Jan/1990:00:00:00 +0000] \\"GET',
      'x [01/Jan/1990:00:00:00 +0000] \\"GET',
    ],
    ['that is empty', '""', undefined],
  ])('reads a user name %s', (_, logged, user) => {
    const line = parseLogLine(`203.0.113.7 - ${logged} [17/May/2015:10:05:03 +0000] ${request}`);
    expect(line).toMatchObject({ host: '203.0.113.7', time: Date.parse('2015-05-17T10:05:03Z') / 1_000 });
    expect(line?.user).toBe(user);
  });

  it('finds the client behind the name of a virtual host', () => {
    const line = parseLogLine(`www.example.com:443 198.51.100.9 - bob [17/May/2015:10:05:03 +0000] ${request}`);
    expect(line).toMatchObject({ host: '198.51.100.9', user: 'bob' });
  });

  it.each([
    ['29/Feb/2024:23:30:00 -0130', '2024-03-01T01:00:00Z'],
    ['29/Feb/2000:00:00:00 +0200', '2000-02-28T22:00:00Z'],
    ['31/Dec/2016:23:59:60 +0000', '2017-01-01T00:00:00Z'],
    ['01/Jan/1970:00:00:00 +0000', '1970-01-01T00:00:00Z'],
  ])('understands the time %s', (time, iso) => {
    expect(parseLogLine(`h - - [${time}] ${request}`)?.time).toBe(Date.parse(iso) / 1_000);
  });

  it.each([
    '29/Feb/2023:00:00:00 +0000',
    '29/Feb/1900:00:00:00 +0000',
    '31/Apr/2024:00:00:00 +0000',
    '00/May/2015:00:00:00 +0000',
    '17/Mai/2015:10:05:03 +0000',
    '17/May/2015:24:00:00 +0000',
    '17/May/2015:10:60:03 +0000',
    '17/May/2015:10:05:61 +0000',
    '17/May/2015:10:05:03 +1500',
    '17/May/2015:10:05:03 +0060',
    '17/May/9999:10:05:03 +0000',
    '01/Jan/1970:00:00:00 +0200',
    '2015-05-17T10:05:03.000000Z',
  ])('refuses the time %s, which there is not', (time) => {
    expect(parseLogLine(`h - - [${time}] ${request}`)).toBeUndefined();
  });

  it.each([
    '',
    ' ',
    'hello',
    `203.0.113.7 - [17/May/2015:10:05:03 +0000] ${request}`,
    `[17/May/2015:10:05:03 +0000] ${request}`,
    `203.0.113.7  - [17/May/2015:10:05:03 +0000] ${request}`,
    '203.0.113.7 - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1"',
    '203.0.113.7 - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" 200',
    '203.0.113.7 - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" 20 5',
    '203.0.113.7 - - [17/May/2015:10:05:03 +0000] GET / 200 5',
    `${'h'.repeat(256)} - - [17/May/2015:10:05:03 +0000] ${request}`,
    `h - ${'u'.repeat(40_000)} [17/May/2015:10:05:03 +0000] ${request}`,
  ])('refuses what is no log line: %s', (line) => {
    expect(parseLogLine(line)).toBeUndefined();
  });
});
