import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { AccessLogBuilder } from '../src/access-log.ts';
import { readLog } from '../src/log-reader.ts';
import { type Playback, play } from '../src/player.ts';
import { timelineOf } from '../src/timeline.ts';
import { trialsOf } from '../src/trial.ts';
import { grouped } from './grouped.ts';

const log = await readLog(join(import.meta.dirname, 'fixtures/excerpt.clf'));
const requests = Array.from(log.times, (time, i) => ({ time, client: log.clients[log.owners[i]!]! }));
type Request = (typeof requests)[number];

const algorithms = ['fixed-window', 'sliding-window-log', 'sliding-window-counter', 'token-bucket', 'leaky-bucket'];

/** A limiter so plain that it can be checked by reading. */
type Naive = (request: Request) => { granted: boolean; take(): void };

function naiveFixedWindow(limit: number, window: number): Naive {
  const used = new Map<string, number>();
  return ({ client, time }) => {
    const slot = `${client} ${Math.floor(time / window)}`;
    const before = used.get(slot) ?? 0;
    return { granted: before < limit, take: () => used.set(slot, before + 1) };
  };
}

function naiveLog(limit: number, window: number): Naive {
  const grants: Request[] = [];
  return (request) => {
    const recent = grants.filter(({ client, time }) => client === request.client && time > request.time - window);
    return { granted: recent.length < limit, take: () => grants.push(request) };
  };
}

/** Counts in parts of a token, of which `window` make one, so that all numbers are whole. */
function naiveBucket(limit: number, window: number, capacity = limit): Naive {
  const buckets = new Map<string, { level: number; time: number }>();
  return ({ client, time }) => {
    const { level, time: last } = buckets.get(client) ?? { level: capacity * window, time };
    const now = Math.min(capacity * window, level + (time - last) * limit);
    return { granted: now >= window, take: () => buckets.set(client, { level: now - window, time }) };
  };
}

/** The requests that not all of the limiters grant; none of these is charged. */
function refusedBy(...limiters: Naive[]): Request[] {
  return requests.filter((request) => {
    const answers = limiters.map((limiter) => limiter(request));
    if (!answers.every(({ granted }) => granted)) return true;
    for (const { take } of answers) take();
    return false;
  });
}

function playOne(policy: string, algorithm?: string): Playback {
  return play(log, trialsOf([policy], algorithm ? [algorithm] : [])[0]!);
}

describe('play', () => {
  it.each([
    ['10/1m', 'fixed-window', naiveFixedWindow(10, 60)],
    ['3/10s', 'fixed-window', naiveFixedWindow(3, 10)],
    ['3/10s', 'sliding-window-log', naiveLog(3, 10)],
    ['2/1h', 'sliding-window-log', naiveLog(2, 3_600)],
    ['7/1m', 'token-bucket', naiveBucket(7, 60)],
    ['2/7s burst 5', 'token-bucket', naiveBucket(2, 7, 5)],
    ['7/1m', 'leaky-bucket', naiveBucket(7, 60)],
    ['0/1m', 'fixed-window', naiveFixedWindow(0, 60)],
    ['1000/1m', 'fixed-window', naiveFixedWindow(1_000, 60)],
  ])('refuses with %s %s what a naive recount refuses', (policy, algorithm, naive) => {
    const refused = refusedBy(naive);
    const playback = playOne(policy, algorithm);
    expect(playback.refused).toBe(refused.length);
    expect(playback.clients.map(({ client, refused }) => [client, refused]).sort()).toEqual(
      [...grouped(refused, ({ client }) => client)].map(([client, { length }]) => [client, length]).sort(),
    );
  });

  it.each(algorithms)('refuses nobody with %s who stays within the limit', (algorithm) => {
    const most = Math.max(...[...grouped(requests, ({ client }) => client).values()].map(({ length }) => length));
    expect(playOne(`${most}/1h`, algorithm).refused).toBe(0);
    expect(playOne(`${most - 1}/1h`, algorithm).refused).toBeLessThanOrEqual(1);
  });

  it('says of each client how often it came, how often it was refused, and when first and last', () => {
    const refused = refusedBy(naiveFixedWindow(1, 10));
    const { clients } = playOne('1/10s', 'fixed-window');
    for (const client of clients) {
      const times = refused.filter((request) => request.client === client.client).map(({ time }) => time);
      expect(client).toEqual({
        client: client.client,
        requests: requests.filter((request) => request.client === client.client).length,
        refused: times.length,
        first: times[0],
        last: times.at(-1),
      });
    }
    expect(clients.length).toBeGreaterThan(1);
    expect(clients.map(({ refused }) => refused)).toEqual(
      clients.map(({ refused }) => refused).toSorted((a, b) => b - a),
    );
  });

  it('finds the minute with the most refusals', () => {
    const minutes = grouped(refusedBy(naiveFixedWindow(1, 10)), ({ time }) => time - (time % 60));
    const [start, { length }] = [...minutes].reduce((a, b) => (b[1].length > a[1].length ? b : a));
    expect(minutes.size).toBeGreaterThan(1);
    expect(playOne('1/10s', 'fixed-window').worst).toEqual({ start, refused: length });
  });

  it('has no worst minute where nothing is refused', () => {
    expect(playOne('1000/1s').worst).toBeUndefined();
  });

  it('counts every refusal in the step of the timeline it falls into', () => {
    const refused = refusedBy(naiveFixedWindow(1, 10));
    const { timeline, refusedAt } = playOne('1/10s', 'fixed-window');
    for (const [i, count] of refusedAt.entries()) {
      const [start, end] = [timeline.start + i * timeline.step, timeline.start + (i + 1) * timeline.step];
      expect(count).toBe(refused.filter(({ time }) => time >= start && time < end).length);
    }
  });

  it('takes nothing from any policy of a trial when one of them refuses', () => {
    const [trial] = trialsOf(['15/1m', '2/5s'], ['fixed-window'], true);
    const playback = play(log, trial!);
    const [minute, seconds] = [naiveFixedWindow(15, 60), naiveFixedWindow(2, 5)];
    expect(playback.refused).toBe(refusedBy(minute, seconds).length);

    const naiveMinute = naiveFixedWindow(15, 60);
    const chargingRefused: Naive = (request) => {
      const answer = naiveMinute(request);
      answer.take();
      return answer;
    };
    const others = [[chargingRefused, naiveFixedWindow(2, 5)], [naiveFixedWindow(15, 60)], [naiveFixedWindow(2, 5)]];
    for (const limiters of others) expect(refusedBy(...limiters).length).not.toBe(playback.refused);
  });

  it('says which policy of a trial refused', () => {
    const [trial] = trialsOf(['1000/1m', '10/1m', '0/1h'], ['fixed-window'], true);
    expect(play(log, trial!).refusedBy).toEqual([0, 0, requests.length]);
    const [twice] = trialsOf(['10/1m', '1000/1m'], ['fixed-window'], true);
    expect(play(log, twice!).refusedBy).toEqual([refusedBy(naiveFixedWindow(10, 60)).length, 0]);
  });

  it('says how many requests a leaky bucket holds, and for how long', () => {
    const builder = new AccessLogBuilder();
    for (let i = 0; i < 7; i++) builder.add('203.0.113.7 - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" 200 5', i);
    const [trial] = trialsOf(['5/10s'], ['leaky-bucket']);
    expect(play(builder.finish(), trial!)).toMatchObject({ refused: 2, held: 4, longestDelay: 8_000 });
  });

  it('tells how far it is', () => {
    const progress: number[] = [];
    play(log, trialsOf(['60/1m'])[0]!, (done) => progress.push(done));
    expect(progress.at(-1)).toBe(requests.length);
  });
});

describe('trialsOf', () => {
  it('tries every policy with every algorithm', () => {
    const trials = trialsOf(['1/1s', '2/1m'], ['fixed-window', 'token-bucket']);
    expect(trials.map(([policy]) => `${policy?.text} ${policy?.compiled.algorithm}`)).toEqual([
      '1/1s fixed-window',
      '1/1s token-bucket',
      '2/1m fixed-window',
      '2/1m token-bucket',
    ]);
  });
});

describe('timelineOf', () => {
  it.each([
    ['half a minute', 30, 5],
    ['one moment', 0, 1],
    ['a day', 86_399, 3_600],
    ['83 hours', 298_859, 14_400],
    ['a year', 31_536_000, 86_400 * 16],
    ['longer than any log', 4_000_000_000, 86_400 * 2_048],
  ])('divides %s into at most 24 steps', (_, span, step) => {
    const start = Date.parse('2015-05-17T00:00:00Z') / 1_000;
    const timeline = timelineOf(start, start + span, 0);
    expect(timeline.step).toBe(step);
    expect(timeline.steps).toBeLessThanOrEqual(24);
    expect(timeline.start).toBeLessThanOrEqual(start);
    expect(timeline.start + timeline.steps * timeline.step).toBeGreaterThan(start + span);
  });

  it("begins days at midnight of the log's time zone", () => {
    const { start, step } = timelineOf(
      Date.parse('2015-05-17T10:00:00+05:30') / 1_000,
      Date.parse('2015-05-30T10:00:00+05:30') / 1_000,
      330,
    );
    expect(step).toBe(86_400);
    expect(start).toBe(Date.parse('2015-05-17T00:00:00+05:30') / 1_000);
  });
});
