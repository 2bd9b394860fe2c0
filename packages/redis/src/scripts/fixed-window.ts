import { counts, type LuaAlgorithm } from './lua-algorithm.js';
import { numbersOf, saveNumbers } from './prelude.js';

/** State: the end of the window, and the units used in it. */
export const fixedWindow: LuaAlgorithm = {
  code: 'f',
  name: 'fixed_window',

  terms: (policy) => `${counts(policy)} ${policy.limit} ${policy.window} ${policy.anchor === 'epoch' ? 1 : 0}`,

  names: ['counts', 'limit', 'window', 'aligned'],

  plain: `
  local was, used, ends = nil, 0, nil
  if state then ${numbersOf('stated', 'units')}
    if now < stated then was, used, ends = stated, units, min(stated, now + window) end
  end
  if not was then ends = aligned == 1 and now - now % window + window or now + window end
  local allowed = limit > 0 and used + cost <= limit

  local after = used
  if take then
    if allowed then after = used + cost
    elseif counts == 1 then after = max(used, limit) end
  end
  local fresh = after > 0 and ends or now
  if take and (after ~= used or (was and ends ~= was)) then ${saveNumbers('ends', 'after')}
  end
  local left, from = limit - after, now
  local retry = (cost > limit or limit == 0) and NEVER or ends
`,

  lease: `
-- Units are leased until the window ends in which they were taken.
local function fixed_window_lease(key, terms, units, extra, lasts)
  local _, left, ends = fixed_window(key, terms, units, true)
  return min(ends, now + lasts), left, ends
end
`,

  back: `
local function fixed_window_back(key, terms, units, at)
  local window = terms[3]
  local ends, used = load(key, 2)
  if not ends then return end
  if now >= ends then return redis.call('DEL', key) end
  if at and at < ends - window then return end
  if units >= used then return redis.call('DEL', key) end
  save(key, min(ends, now + window), ends, used - units)
end
`,
};
