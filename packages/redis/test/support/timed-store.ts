import { type Store, systemClock } from '@sluice/core';
import type { ManualClock } from '@sluice/testing';
import type { Redis } from 'ioredis';
import { connectionOf } from '../../src/connection.ts';
import { type Call, ScriptRunner } from '../../src/script-runner.ts';
import { ScriptStore } from '../../src/script-store.ts';
import { prelude } from '../../src/scripts/prelude.ts';
import { Scripts } from '../../src/scripts/scripts.ts';
import { StoreKeys } from '../../src/store-keys.ts';
import { oneServer } from '../../src/topology.ts';

/** How the scripts read the time of the server, and the fence, which is of that time. */
const opening = /local time = .*\nlocal now = .*\nif now > .*\n/;

/**
 * The time is what a test has put under the key `clock`, and keys expire by it: a key is there up to and including the
 * millisecond that `SET … PX` and `PEXPIRE` say, as in Redis. It is not deleted then, so that it is there again when the
 * clock is set back, as in a MemoryStore that was not swept.
 */
const timedOpening = `
local server, now = redis, tonumber(redis.call('GET', 'clock'))
local redis = {}

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

const timedPrelude = prelude.replace(opening, timedOpening);
const scripts = new Scripts(timedPrelude);

/** A Runner that is never answered that the server does not know a script: calls take effect in the order they are made. */
class WholeScripts extends ScriptRunner {
  override run(call: Call): Promise<readonly number[]> {
    return super.run({ ...call, whole: true });
  }
}

/** A store in a real Redis, whose server's clock is advanced by hand: the scripts as they are, but for the time. */
export function timedStore(redis: Redis, clock: Pick<ManualClock, 'now'>): Store {
  if (timedPrelude === prelude) throw new Error('The prelude no longer reads the time as this replaces it.');
  const runner = new WholeScripts(redis, connectionOf(redis), {
    clock: systemClock,
    deadline: 60_000_000,
    sendsAgain: false,
  });
  const store = new ScriptStore(runner, new StoreKeys('ratelimit'), oneServer, scripts);
  const at = async <T>(ask: () => T): Promise<Awaited<T>> => {
    const set = redis.set('clock', String(clock.now()));
    const [answer] = await Promise.all([ask(), set]);
    return answer;
  };
  return {
    consume: (charges) => at(() => store.consume(charges)),
    peek: (charges) => at(() => store.peek(charges)),
    release: (refunds) => at(() => store.release(refunds)),
    reset: (key, policies) => at(() => store.reset(key, policies)),
    lower: (known) => at(() => store.lower(known)),
  };
}
