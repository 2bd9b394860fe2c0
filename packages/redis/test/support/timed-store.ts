import { compilePolicies, type Store, systemClock } from '@sluice/core';
import type { ManualClock } from '@sluice/testing';
import type { Redis } from 'ioredis';
import { connectionOf } from '../../src/connection.ts';
import { ScriptRunner } from '../../src/script-runner.ts';
import { ScriptStore } from '../../src/script-store.ts';
import { opening } from '../../src/scripts/prelude.ts';
import { Scripts } from '../../src/scripts/scripts.ts';
import { StoreKeys } from '../../src/store-keys.ts';
import { oneServer } from '../../src/topology.ts';

/** How the scripts read the time of the server, and the fence, which is of that time. */
const read = /local time = .*\nlocal now = .*\nlocal reply = .*\nif now > .*\n/;

/**
 * The time is what a test has put under the key `clock`, and keys expire by it: a key is there up to and including the
 * millisecond that `SET … PX` and `PEXPIRE` say, as in Redis. It is not deleted then, so that it is there again when the
 * clock is set back, as in a MemoryStore that was not swept.
 */
const timedOpening = `
local server, now = redis, tonumber(redis.call('GET', 'clock'))
local redis, reply = {}, { now }

local function expire(key, ms)
  if ms < 1 then error('A key that is kept for ' .. ms .. ' ms is gone at once') end
  server.call('SET', 'expiry ' .. key, string.format('%.0f', math.floor(now / 1000) + ms))
end

function redis.call(command, key, ...)
  local expiry = server.call('GET', 'expiry ' .. key)
  local expired = expiry and math.floor(now / 1000) > tonumber(expiry)
  if command == 'SET' then
    local value, px, ms = ...
    if px ~= 'PX' then error('A key that is kept for ever: ' .. key) end
    expire(key, ms)
    return server.call('SET', key, value)
  elseif command == 'DEL' then
    server.call('DEL', 'expiry ' .. key)
    return server.call('DEL', key)
  elseif command == 'GET' or command == 'STRLEN' or command == 'GETRANGE' then
    return server.call(command, expired and 'nothing' or key, ...)
  end
  if expired or not expiry then error(command .. ' on a key that is not there: ' .. key) end
  if command == 'PEXPIRE' then
    return expire(key, ...)
  end
  return server.call(command, key, ...)
end
`;

const replaced = opening.replace(read, timedOpening);
const scripts = new Scripts(replaced);

/**
 * A store in a real Redis, whose server's clock is advanced by hand: the scripts as they are, but for the time, and with
 * fences that never pass.
 *
 * Calls are carried out in the order in which they are made: each by itself, or all of the same time `together`, in one
 * script or several.
 */
export function timedStore(redis: Redis, clock: Pick<ManualClock, 'now'>, isTogether = false): Store {
  if (replaced === opening) throw new Error('The opening no longer reads the time as this replaces it.');
  const options = { clock: systemClock, deadline: 60_000_000, sendsAgain: false };
  const runner = new ScriptRunner(redis, connectionOf(redis), scripts, options);
  const store = new ScriptStore(runner, new StoreKeys('ratelimit'), oneServer);
  let group:
    | { readonly time: number; readonly begun: Promise<unknown>; readonly calls: Promise<unknown>[] }
    | undefined;
  const at = <T>(ask: () => T): Promise<Awaited<T>> => {
    const time = clock.now();
    if (!isTogether || group?.time !== time) {
      const earlier = Promise.allSettled(group?.calls ?? []);
      // What is asked behind a call that is under way goes together.
      const begun = earlier.then(() => redis.set('clock', String(time))).then(() => void (isTogether && look(store)));
      group = { time, begun, calls: [] };
    }
    const answer = group.begun.then(ask) as Promise<Awaited<T>>;
    group.calls.push(answer);
    return answer;
  };
  return {
    consume: (charges) => at(() => store.consume(charges)),
    peek: (charges) => at(() => store.peek(charges)),
    release: (refunds) => at(() => store.release(refunds)),
    reset: (key, policies) => at(() => store.reset(key, policies)),
    lower: (known) => at(() => store.lower!(known)),
    lease: (request) => at(() => store.lease!(request)),
  };
}

const [other] = compilePolicies(['1/1s'], 'timedStore');

function look(store: Store): void {
  void store.peek([{ policy: other!, key: 'nobody', cost: 0 }]);
}
