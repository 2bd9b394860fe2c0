import { least, type Reference } from './reference.ts';

/** When units were granted, oldest first; one entry per grant, since a grant's units share their time. */
type Log = readonly { readonly time: bigint; readonly units: bigint }[];

export const slidingWindowLog: Reference<Log> = {
  fresh: [],

  free({ limit, window }, log, now) {
    return limit - total(log.filter(({ time }) => time > now - window));
  },

  take({ window }, log, units, now) {
    return [...log.filter(({ time }) => time > now - window), { time: now, units }];
  },

  // As if the last `limit` units asked for had been granted.
  charge({ limit, window }, log, cost, now) {
    const present = log.filter(({ time }) => time > now - window);
    const asked = [...present, { time: now, units: least(cost, limit) }];
    return withoutOldest(asked, total(asked) - limit);
  },

  giveBack({ window }, log, units, at, now) {
    const present = log.filter(({ time }) => time > now - window);
    if (at === undefined) return withoutOldest(present, units);
    const of = present.filter(({ time }) => time === at);
    return [
      ...present.filter(({ time }) => time < at),
      ...withoutOldest(of, units),
      ...present.filter(({ time }) => time > at),
    ];
  },

  broughtBack(_terms, log, now) {
    return log.map(({ time, units }) => ({ time: least(time, now), units }));
  },
};

function total(log: Log): bigint {
  return log.reduce((sum, { units }) => sum + units, 0n);
}

function withoutOldest(log: Log, units: bigint): Log {
  let left = units;
  const kept = log.map((entry) => {
    const gone = left > 0n ? least(left, entry.units) : 0n;
    left -= gone;
    return { time: entry.time, units: entry.units - gone };
  });
  return kept.filter((entry) => entry.units > 0n);
}
