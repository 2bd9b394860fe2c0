import { counts, type LuaAlgorithm } from './lua-algorithm.js';
import { numbersOf, saveNumbers } from './prelude.js';

/**
 * Token bucket and leaky bucket. State: the debt, in parts of a unit; the instant at which it stood so; and the parts
 * of which one unit consists. While units are leased, besides: the units of leases, and when the last of these ends, of
 * two stretches of time.
 */
export const bucket: LuaAlgorithm = {
  code: 'b',
  name: 'bucket',

  terms: (policy) => {
    const { capacity, tick, unit, rate, algorithm } = policy;
    return `${counts(policy)} ${capacity} ${tick} ${unit} ${rate} ${algorithm === 'leaky-bucket' ? 1 : 0}`;
  },

  names: ['counts', 'capacity', 'tick', 'unit', 'rate', 'delays'],

  isPlain: 'not state or #state ~= 56',

  plain: `
  local full = capacity * unit
  local debt, time, moved = 0, now, false
  if state then ${numbersOf('owed', 'since', 'of')}
    -- In the parts of the present policy, and never more than its bucket holds.
    debt = of == unit and min(owed, full) or min(ceil(owed / of), capacity) * unit
    local elapsed = floor((now - since) / tick)
    if elapsed > 0 then debt = elapsed < ceil(debt / rate) and debt - elapsed * rate or 0 end
    if debt > 0 and now > since then time = now - (now - since) % tick end
    moved = since > time
  end
  local allowed = capacity > 0 and cost <= capacity and debt + cost * unit <= full

  local after = debt
  if take then
    if allowed then after = debt + cost * unit
    elseif counts == 1 then after = full end
  end
  local fresh, retry, from = now, NEVER, now
  if after > 0 then fresh = time + ceil(after / rate) * tick end
  if take and (after ~= debt or moved) then ${saveNumbers('after', 'time', 'unit')}
  end
  if not allowed and cost <= capacity and capacity > 0 then
    retry = time + ceil((after + cost * unit - full) / rate) * tick
  end
  if delays == 1 and debt > 0 then from = time + ceil(debt / rate) * tick end
  local left = floor((full - after) / unit)
`,

  functions: `
-- The debt left now, in the parts of the present policy and never more than its bucket holds.
local function debt_now(debt, time, of, capacity, tick, unit, rate)
  if of == unit then debt = min(debt, capacity * unit)
  else debt = min(ceil(debt / of), capacity) * unit end
  local elapsed = floor((now - time) / tick)
  if elapsed <= 0 then return debt end
  return elapsed < ceil(debt / rate) and debt - elapsed * rate or 0
end

-- The last instant at which the debt shrank: ticks are counted from when the debt began.
local function last_tick(time, tick)
  return now > time and now - (now - time) % tick or now
end

-- Microseconds that a lease lasts at the most.
local LONGEST_LEASE = 1000000

-- No less is owed than the units of leases, which begin to refill when these have ended.
local function raised(debt, time, units, ends, capacity, tick, unit, rate)
  local held, from = min(units, capacity) * unit, now
  if now >= ends then
    held = held - floor((now - ends) / tick) * rate
    from = last_tick(ends, tick)
  end
  if held > debt then return held, from end
  -- Less than a tick later, it could be the greater of the two.
  if held > 0 and debt - held < rate and from > time then return debt, from end
  return debt, time
end

-- The debt and the leases as they stand now: of two, the first may be empty, and ends first.
local function stands(key, state, capacity, tick, unit, rate)
  if not state then return 0, now, false end
  local owed, since, of, units1, ends1, units2, ends2
  if #state == 56 then
    owed, since, of = numbers_of(key, string.sub(state, 1, 24), 3)
    units1, ends1, units2 = numbers_of(key, string.sub(state, 25, 48), 3)
    ends2 = numbers_of(key, string.sub(state, 49), 1)
  else
    owed, since, of = numbers_of(key, state, 3)
  end
  local debt = debt_now(owed, since, of, capacity, tick, unit, rate)
  local time = debt == 0 and now or last_tick(since, tick)
  local moved = since > time
  if not ends2 then return debt, time, moved end

  -- Since the clock was set back, no lease can go on for longer than any does.
  local latest = now + 2 * LONGEST_LEASE
  if ends2 > latest then ends1, ends2, moved = min(ends1, latest), latest, true end
  debt, time = raised(debt, time, units1 + units2, ends1, capacity, tick, unit, rate)
  debt, time = raised(debt, time, units2, ends2, capacity, tick, unit, rate)
  if now >= ends2 then return debt, time, moved end
  if now >= ends1 then units1, ends1 = 0, 0 end
  return debt, time, moved, units1, ends1, units2, ends2
end

-- When no more than so much of a debt is left.
local function instant_of(most, debt, time, capacity, tick, unit, rate, units1, ends1, units2, ends2)
  local instant = debt > most and time + ceil((debt - most) / rate) * tick or now
  if not ends2 then return instant end
  local held = min(units1 + units2, capacity) * unit
  if ends1 > 0 and held > most then instant = max(instant, ends1 + ceil((held - most) / rate) * tick) end
  held = min(units2, capacity) * unit
  if held > most then instant = max(instant, ends2 + ceil((held - most) / rate) * tick) end
  return instant
end

local function save_leased(key, fresh, debt, time, of, units1, ends1, units2, ends2)
  if not ends2 then return save(key, fresh, debt, time, of) end
  local state = pack('>ddddddd', debt, time, of, units1, ends1, units2, ends2)
  redis.call('SET', key, state, 'PX', ceil((fresh - now) / 1000))
end

-- Decides where units are leased, or are to be.
local function bucket_leased(key, terms, cost, take, extra, lasts)
  local counts, capacity, tick, unit, rate, delays = unpack(terms)
  local full = capacity * unit
  local state = redis.call('GET', key)
  local debt, time, moved, units1, ends1, units2, ends2 = stands(key, state, capacity, tick, unit, rate)
  local allowed = capacity > 0 and cost <= capacity and debt + cost * unit <= full

  local after = debt
  if take then
    if allowed then after = debt + cost * unit
    elseif counts == 1 then after = full end
  end
  if take and allowed and extra then
    if ends2 and now + lasts <= ends2 then units2 = units2 + extra
    else
      -- The one before the last is over by now, unless the policy has changed.
      units1, ends1 = (units1 or 0) + (units2 or 0), ends2 or 0
      units2, ends2 = extra, max(now + 2 * lasts, ends1)
    end
  end
  local fresh = instant_of(0, after, time, capacity, tick, unit, rate, units1, ends1, units2, ends2)
  if take and (after ~= debt or moved) then save_leased(key, fresh, after, time, unit, units1, ends1, units2, ends2) end

  local retry, from = NEVER, now
  if not allowed and cost <= capacity and capacity > 0 then
    retry = instant_of(full - cost * unit, after, time, capacity, tick, unit, rate, units1, ends1, units2, ends2)
  end
  if delays == 1 and debt > 0 then from = time + ceil(debt / rate) * tick end
  return allowed, floor((full - after) / unit), fresh, retry, from
end
`,

  lease: `
local function bucket_lease(key, terms, units, extra, lasts)
  local _, left, fresh = bucket_leased(key, terms, units, true, extra, lasts)
  return now + lasts, left, fresh
end
`,

  back: `
local function bucket_back(key, terms, units, at)
  local _, capacity, tick, unit, rate = unpack(terms)
  local state = redis.call('GET', key)
  if not state then return end
  local debt, time, _, units1, ends1, units2, ends2 = stands(key, state, capacity, tick, unit, rate)
  -- What has refilled since the grant is there already.
  local refilled = at and ceil(max(0, now - at) / tick) * rate or 0
  debt = debt - max(0, min(units, capacity) * unit - refilled)
  local held = ends2 and min(units1 + units2, capacity) * unit or 0
  if debt < held then debt, time = held, now end
  if debt <= 0 then
    redis.call('DEL', key)
    return false
  end
  local fresh = instant_of(0, debt, time, capacity, tick, unit, rate, units1, ends1, units2, ends2)
  save_leased(key, fresh, debt, time, unit, units1, ends1, units2, ends2)
  return true
end
`,
};
