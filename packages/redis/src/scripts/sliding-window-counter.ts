import { counts, type LuaAlgorithm } from './lua-algorithm.js';
import { numbersOf, saveNumbers } from './prelude.js';

/** State: the end of the present window, its units, and those of the window before it. */
export const slidingWindowCounter: LuaAlgorithm = {
  code: 'c',
  name: 'sliding_window_counter',

  terms: (policy) => `${counts(policy)} ${policy.limit} ${policy.window} ${policy.tick}`,

  names: ['counts', 'limit', 'window', 'tick'],

  functions: `
-- The tick of a window from which on the counted units of the window before weigh at most that room.
local function tick_of_room(counted, room, ticks)
  return counted <= room and 0 or ticks - floor(((room + 1) * ticks - 1) / counted)
end
`,

  plain: `
  local ticks = window / tick
  local start = now - now % window
  local ends = start + window
  local elapsed = floor((now - start) / tick)

  local current, previous, moved = 0, 0, false
  if state then ${numbersOf('was', 'units', 'before')}
    if was == ends then
      current, previous = min(units, limit), min(before, limit)
    elseif was > start then
      current, moved = min(units + before, limit), true
    elseif was > start - window then
      previous = min(units, limit)
    end
  end
  local weighted = floor(previous * (ticks - elapsed) / ticks)
  local allowed = limit > 0 and current + weighted + cost <= limit

  local after = current
  if take then
    if allowed then after = current + cost
    elseif counts == 1 then after = min(limit, current + cost) end
  end

  local fresh
  if after > 0 then fresh = ends + tick_of_room(after, 0, ticks) * tick
  else fresh = start + tick_of_room(previous, 0, ticks) * tick end
  if take and (after ~= current or moved) then ${saveNumbers('ends', 'after', 'previous')}
  end

  local retry = NEVER
  if not allowed and cost <= limit and limit > 0 then
    local room = limit - cost - after
    if room >= 0 then retry = start + tick_of_room(previous, room, ticks) * tick
    else retry = ends + tick_of_room(after, limit - cost, ticks) * tick end
  end
  local left, from = limit - after - weighted, now
`,

  lease: `
-- Units are leased until the window ends in which they were taken.
local function sliding_window_counter_lease(key, terms, units, extra, lasts)
  local _, left, fresh = sliding_window_counter(key, terms, units, true)
  local window = terms[3]
  return min(now - now % window + window, now + lasts), left, fresh
end
`,

  back: `
local function sliding_window_counter_back(key, terms, units, at)
  local _, limit, window, tick = unpack(terms)
  local ends, current, previous = load(key, 3)
  if not ends then return end
  if now >= ends + window then return redis.call('DEL', key) end
  local start = ends - window
  if not at then
    local from_current = min(units, current)
    current = current - from_current
    previous = max(0, previous - (units - from_current))
  elseif at >= start then
    current = max(0, current - units)
  elseif at >= start - window then
    previous = max(0, previous - units)
  else
    return
  end
  if current == 0 and previous == 0 then return redis.call('DEL', key) end
  local ticks = window / tick
  local fresh
  if current > 0 then fresh = ends + tick_of_room(min(current, limit), 0, ticks) * tick
  else fresh = start + tick_of_room(min(previous, limit), 0, ticks) * tick end
  save(key, fresh, ends, current, previous)
end
`,
};
