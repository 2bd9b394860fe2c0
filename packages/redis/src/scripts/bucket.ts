import { counts, type LuaAlgorithm } from './lua-algorithm.js';

/**
 * Token bucket and leaky bucket. State: the debt, in parts of a unit; the instant at which it stood so; and the parts
 * of which one unit consists.
 */
export const bucket: LuaAlgorithm = {
  code: 'b',
  name: 'bucket',

  terms: (policy) => {
    const { capacity, tick, unit, rate, algorithm } = policy;
    return `${counts(policy)} ${capacity} ${tick} ${unit} ${rate} ${algorithm === 'leaky-bucket' ? 1 : 0}`;
  },

  lua: `
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

local function bucket(key, terms, cost, take)
  local counts, capacity, tick, unit, rate, delays = unpack(terms)
  local full = capacity * unit
  local owed, since, of = load(key, 3)
  local debt = owed and debt_now(owed, since, of, capacity, tick, unit, rate) or 0
  local time = debt == 0 and now or last_tick(since, tick)
  local allowed = capacity > 0 and cost <= capacity and debt + cost * unit <= full

  local after = debt
  if take then
    if allowed then after = debt + cost * unit
    elseif counts == 1 then after = full end
  end
  local fresh = after > 0 and time + ceil(after / rate) * tick or now
  if take and (after ~= debt or (owed and since > time)) then save(key, fresh, after, time, unit) end

  local retry = NEVER
  if cost <= capacity and capacity > 0 then retry = time + ceil((after + cost * unit - full) / rate) * tick end
  local from = now
  if delays == 1 and debt > 0 then from = time + ceil(debt / rate) * tick end
  return allowed, floor((full - after) / unit), fresh, retry, from
end

local function bucket_back(key, terms, units, at)
  local _, capacity, tick, unit, rate = unpack(terms)
  local owed, since, of = load(key, 3)
  if not owed then return end
  -- What has refilled since the grant is there already.
  local refilled = at and ceil(max(0, now - at) / tick) * rate or 0
  local given = max(0, min(units, capacity) * unit - refilled)
  local debt = debt_now(owed, since, of, capacity, tick, unit, rate) - given
  if debt <= 0 then return redis.call('DEL', key) end
  local time = last_tick(since, tick)
  save(key, time + ceil(debt / rate) * tick, debt, time, unit)
end
`,
};
