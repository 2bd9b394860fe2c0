import { counts, type LuaAlgorithm } from './lua-algorithm.js';

/**
 * State: a string of records of 16 bytes, two big-endian doubles each. The first holds how many of the grants behind it
 * are gone, and the units granted with these; then, per grant, its instant and the units granted so far. Grants are
 * found by halving, so that a decision costs the same however long the log is.
 */
export const slidingWindowLog: LuaAlgorithm = {
  code: 'l',
  name: 'sliding_window_log',

  terms: (policy) => `${counts(policy)} ${policy.limit} ${policy.window}`,

  lua: `
local RECORD = '>dd'
local MOST = 2 ^ 52

local function open_log(key)
  local length = redis.call('STRLEN', key)
  if length == 0 then return nil end
  if length < 32 or length % 16 ~= 0 then corrupt(key) end
  local log = { key = key, tail = length / 16 - 1 }
  log.head, log.base = struct.unpack(RECORD, redis.call('GETRANGE', key, 0, 15))
  log.last, log.total = struct.unpack(RECORD, redis.call('GETRANGE', key, -16, -1))
  if not (log.head >= 0 and log.head < log.tail and log.base < log.total) then corrupt(key) end
  return log
end

-- The instant of a grant, and the units granted up to it.
local function grant(log, i)
  return struct.unpack(RECORD, redis.call('GETRANGE', log.key, 16 * i, 16 * i + 15))
end

-- The first grant from that one on whose instant (1) or total (2) is greater than the bound, else the one after the last.
local function first_after(log, which, bound, from)
  if from > log.tail or (select(which, grant(log, from))) > bound then return from end
  local to = log.tail + 1
  while from < to do
    local middle = floor((from + to) / 2)
    if (select(which, grant(log, middle))) > bound then to = middle else from = middle + 1 end
  end
  return from
end

-- Units granted before that grant, or gone.
local function units_before(log, i)
  if i - 1 <= log.head then return log.base end
  local _, total = grant(log, i - 1)
  return max(total, log.base)
end

-- The grants from that one on after a change of the units and instant of each; those left without units are left out.
local function rebuild(log, from, total, change)
  local records, last = {}, nil
  local before = units_before(log, from)
  for i = from, log.tail do
    local time, granted = grant(log, i)
    local units, instant = change(granted - before, time)
    before = granted
    if units > 0 then
      total, last = total + units, instant
      records[#records + 1] = struct.pack(RECORD, instant, total)
    end
  end
  return table.concat(records), last
end

local function write_log(key, window, gone, records, last)
  local rest = max(1, ceil((last + window - now) / 1000))
  redis.call('SET', key, struct.pack(RECORD, 0, gone) .. records, 'PX', rest)
end

local function sliding_window_log(key, terms, cost, take)
  local counts, limit, window = string.match(terms, '^%a(%d) (%d+) (%d+)$')
  limit, window = tonumber(limit), tonumber(window)
  local log = open_log(key)
  if log and take and (log.last > now or log.total + min(cost, limit) > MOST) then
    -- After a step back of the clock, grants that seem to lie ahead were made now at the latest.
    local from = first_after(log, 1, now - window, log.head + 1)
    local records, last = rebuild(log, from, 0, function(units, time) return units, min(time, now) end)
    if last then write_log(key, window, 0, records, last) else redis.call('DEL', key) end
    log = open_log(key)
  end
  local head, gone, used = 1, 0, 0
  if log then
    head = first_after(log, 1, now - window, log.head + 1)
    if head <= log.tail then
      gone = units_before(log, head)
      used = log.total - gone
    end
  end
  local allowed = limit > 0 and used + cost <= limit

  local after, units = used, 0
  if take and cost > 0 and allowed then
    units = cost
    after = used + cost
  elseif take and cost > 0 and counts == '1' and limit > 0 then
    -- As if the last units asked for had been granted: the oldest make room.
    units = min(cost, limit)
    after = limit
    if used > 0 then
      gone = gone + used + units - limit
      head = first_after(log, 2, gone, head)
    end
  end

  if units > 0 then
    if not log or head > log.tail then
      write_log(key, window, 0, struct.pack(RECORD, now, units), now)
    else
      local record = struct.pack(RECORD, now, log.total + units)
      local expired = head - 1
      if expired > log.tail - expired + 16 then
        write_log(key, window, gone, redis.call('GETRANGE', key, 16 * head, -1) .. record, now)
      else
        redis.call('APPEND', key, record)
        if expired > log.head or gone > log.base then
          redis.call('SETRANGE', key, 0, struct.pack(RECORD, expired, gone))
        end
        redis.call('PEXPIRE', key, ceil(window / 1000))
      end
    end
  end

  local retry = NEVER
  if not allowed and cost <= limit and limit > 0 then
    if units > 0 then
      log = open_log(key)
      head = log.head + 1
    end
    local time = grant(log, first_after(log, 2, log.total - (limit - cost) - 1, head))
    retry = min(time, now) + window
  end
  local last = units > 0 and now or log and min(log.last, now)
  return allowed, limit - after, after > 0 and last + window or now, retry, now
end

local function sliding_window_log_back(key, terms, units, at)
  local window = tonumber(string.match(terms, '^%a%d %d+ (%d+)$'))
  local log = open_log(key)
  if not log then return end
  local head = first_after(log, 1, now - window, log.head + 1)
  if head > log.tail then return redis.call('DEL', key) end
  if units == 0 then return end
  local gone = units_before(log, head)
  if not at then
    -- The oldest units leave first, so that never too much room is made.
    gone = gone + units
    if gone >= log.total then return redis.call('DEL', key) end
    redis.call('SETRANGE', key, 0, struct.pack(RECORD, first_after(log, 2, gone, head) - 1, gone))
    return redis.call('PEXPIRE', key, max(1, ceil((min(log.last, now) + window - now) / 1000)))
  end

  local from = first_after(log, 1, at - 1, head)
  local left = units
  local records, last = rebuild(log, from, units_before(log, from), function(granted, time)
    local given = time == at and min(left, granted) or 0
    left = left - given
    return granted - given, time
  end)
  if left == units then return end
  if not last then
    if from == head then return redis.call('DEL', key) end
    last = grant(log, from - 1)
  end
  write_log(key, window, gone, redis.call('GETRANGE', key, 16 * head, 16 * from - 1) .. records, min(last, now))
end
`,
};
