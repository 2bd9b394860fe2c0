import { counts, type LuaAlgorithm } from './lua-algorithm.js';

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

-- What is needed only where units are leased, and made only there: to make it takes as long as to decide.
local function leases_of_bucket()
  -- Microseconds that a lease lasts at the most.
  local LONGEST_LEASE = 1000000
  local leases = {}

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
  function leases.stand(key, state, capacity, tick, unit, rate)
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
  function leases.instant_of(most, debt, time, capacity, tick, unit, rate, units1, ends1, units2, ends2)
    local instant = debt > most and time + ceil((debt - most) / rate) * tick or now
    if not ends2 then return instant end
    local held = min(units1 + units2, capacity) * unit
    if ends1 > 0 and held > most then instant = max(instant, ends1 + ceil((held - most) / rate) * tick) end
    held = min(units2, capacity) * unit
    if held > most then instant = max(instant, ends2 + ceil((held - most) / rate) * tick) end
    return instant
  end

  function leases.save(key, fresh, debt, time, of, units1, ends1, units2, ends2)
    if not ends2 then return save(key, fresh, debt, time, of) end
    local state = pack('>ddddddd', debt, time, of, units1, ends1, units2, ends2)
    redis.call('SET', key, state, 'PX', ceil((fresh - now) / 1000))
  end

  return leases
end

local function bucket(key, terms, cost, take, extra, lasts)
  local counts, capacity, tick, unit, rate, delays = unpack(terms)
  local full = capacity * unit
  local debt, time, moved, units1, ends1, units2, ends2 = 0, now, false
  local state, leases = redis.call('GET', key), nil
  if state and #state ~= 56 then
    local owed, since, of = numbers_of(key, state, 3)
    debt = debt_now(owed, since, of, capacity, tick, unit, rate)
    if debt > 0 then time = last_tick(since, tick) end
    moved = since > time
  elseif state then
    leases = leases_of_bucket()
    debt, time, moved, units1, ends1, units2, ends2 = leases.stand(key, state, capacity, tick, unit, rate)
  end
  local allowed = capacity > 0 and cost <= capacity and debt + cost * unit <= full

  local after = debt
  if take then
    if allowed then after = debt + cost * unit
    elseif counts == 1 then after = full end
  end
  if take and allowed and extra then
    leases = leases or leases_of_bucket()
    if ends2 and now + lasts <= ends2 then units2 = units2 + extra
    else
      -- The one before the last is over by now, unless the policy has changed.
      units1, ends1 = (units1 or 0) + (units2 or 0), ends2 or 0
      units2, ends2 = extra, max(now + 2 * lasts, ends1)
    end
  end

  local fresh, retry = now, NEVER
  local most = not allowed and cost <= capacity and capacity > 0 and full - cost * unit
  if leases then
    fresh = leases.instant_of(0, after, time, capacity, tick, unit, rate, units1, ends1, units2, ends2)
    if most then retry = leases.instant_of(most, after, time, capacity, tick, unit, rate, units1, ends1, units2, ends2) end
  else
    if after > 0 then fresh = time + ceil(after / rate) * tick end
    if most then retry = time + ceil((after - most) / rate) * tick end
  end
  if take and (after ~= debt or moved) then
    if leases then leases.save(key, fresh, after, time, unit, units1, ends1, units2, ends2)
    else save(key, fresh, after, time, unit) end
  end
  local from = now
  if delays == 1 and debt > 0 then from = time + ceil(debt / rate) * tick end
  return allowed, floor((full - after) / unit), fresh, retry, from
end
`,

  lease: `
local function bucket_lease(key, terms, units, extra, lasts)
  bucket(key, terms, units, true, extra, lasts)
  return now + lasts
end
`,

  back: `
local function bucket_back(key, terms, units, at)
  local _, capacity, tick, unit, rate = unpack(terms)
  local state = redis.call('GET', key)
  if not state then return end
  local leases = leases_of_bucket()
  local debt, time, _, units1, ends1, units2, ends2 = leases.stand(key, state, capacity, tick, unit, rate)
  -- What has refilled since the grant is there already.
  local refilled = at and ceil(max(0, now - at) / tick) * rate or 0
  debt = debt - max(0, min(units, capacity) * unit - refilled)
  local held = ends2 and min(units1 + units2, capacity) * unit or 0
  if debt < held then debt, time = held, now end
  if debt <= 0 then
    redis.call('DEL', key)
    return false
  end
  local fresh = leases.instant_of(0, debt, time, capacity, tick, unit, rate, units1, ends1, units2, ends2)
  leases.save(key, fresh, debt, time, unit, units1, ends1, units2, ends2)
  return true
end
`,
};
