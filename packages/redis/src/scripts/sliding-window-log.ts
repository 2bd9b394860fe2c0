import { counts, type LuaAlgorithm } from './lua-algorithm.js';

/**
 * State: a string of big-endian doubles. Three come first: how many of the grants behind them are gone, the units granted
 * with these, and how many grants were given back and are still there. Then, per grant, its instant and the units granted
 * so far. Grants are found by halving, so that a decision costs the same however long the log is.
 *
 * The grants are in blocks of 1,023. Before each block but the first stand an instant and a number of units: none of its
 * grants counts as later, and all totals are so much less. What changes every grant from one on, a step back of the clock
 * or a grant given back, thus rewrites two blocks at most, and of those between only the two numbers. Grants that were
 * given back leave when they are more than the others.
 */
export const slidingWindowLog: LuaAlgorithm = {
  code: 'l',
  name: 'sliding_window_log',

  terms: (policy) => `${counts(policy)} ${policy.limit} ${policy.window}`,

  functions: `
local HEADER, RECORD = '>ddd', '>dd'
local MOST = 2 ^ 52
local BLOCK = 1023
local TIME, TOTAL = 1, 2
-- A log that is shorter is read at once.
local GLANCE = 520
local PIECE = 2 ^ 16

-- Where a grant stands.
local function place(i)
  return 8 + 16 * (i + floor((i - 1) / BLOCK))
end

-- What holds for the grants of a block: their latest instant, and the units to deduct.
local function opening(log, block)
  if block == 0 then return math.huge, 0 end
  local known = log.openings[block]
  if not known then
    local from = place(block * BLOCK + 1) - 16
    local latest, less = struct.unpack(RECORD, redis.call('GETRANGE', log.key, from, from + 15))
    if not (latest >= 0 and less >= 0) then corrupt(log.key) end
    known = { latest, less }
    log.openings[block] = known
  end
  return known[1], known[2]
end

-- The instant of a grant, and the units granted up to it.
local function grant(log, i)
  local from = place(i)
  local time, total
  if from < #log.start then time, total = struct.unpack(RECORD, log.start, from + 1)
  else time, total = struct.unpack(RECORD, redis.call('GETRANGE', log.key, from, from + 15)) end
  if i <= BLOCK then return time, total end
  local latest, less = opening(log, floor((i - 1) / BLOCK))
  return min(time, latest), total - less
end

local function open_log(key)
  local start = redis.call('GETRANGE', key, 0, GLANCE - 1)
  if start == '' then return nil end
  -- As many as if the first block had an opening, too.
  local records = ((#start < GLANCE and #start or redis.call('STRLEN', key)) - 8) / 16
  if records < 2 or records % 1 ~= 0 or records % (BLOCK + 1) == 1 then corrupt(key) end
  local log = { key = key, start = start, tail = records - ceil(records / (BLOCK + 1)), openings = {} }
  log.head, log.base, log.empty = struct.unpack(HEADER, start)
  log.last, log.total = grant(log, log.tail)
  if not (log.head >= 0 and log.head < log.tail and log.base < log.total and log.empty >= 0) then corrupt(key) end
  return log
end

-- The first grant from that one on whose TIME or TOTAL is greater than the bound, else the one after the last. The
-- nearer it is, the fewer are looked at.
local function first_after(log, which, bound, from)
  local to, step = from, 1
  while to <= log.tail and (select(which, grant(log, to))) <= bound do
    from, to, step = to + 1, to + step, 2 * step
  end
  to = min(to, log.tail + 1)
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

-- The records of grants of one block, with these changes.
local function changed(log, first, last, latest, less, least)
  local bytes = redis.call('GETRANGE', log.key, place(first), place(last) + 15)
  local records = {}
  for from = 1, #bytes, 16 do
    local time, total = struct.unpack(RECORD, bytes, from)
    records[#records + 1] = struct.pack(RECORD, min(time, latest), max(total - less, least))
  end
  return table.concat(records)
end

-- Sets all grants from that one on to an instant at the latest, and their totals to so much less, though not below a
-- least one, which is that of grants before the rest. The last block is rewritten, as what follows in it is not changed:
-- nothing is ever deducted before the last block.
local function change(log, from, rest, latest, less, least)
  local first = from
  while first <= log.tail do
    local block = floor((first - 1) / BLOCK)
    local last = min(log.tail, (block + 1) * BLOCK)
    local latest_yet, less_yet = opening(log, block)
    if first == from or first < rest or last == log.tail then
      redis.call('SETRANGE', log.key, place(first), changed(log, first, last, latest, less, least + less_yet))
    else
      redis.call('SETRANGE', log.key, place(first) - 16, struct.pack(RECORD, min(latest_yet, latest), less_yet + less))
    end
    first = last + 1
  end
end

local function write_log(key, window, last, bytes)
  redis.call('SET', key, bytes, 'PX', max(1, ceil((min(last, now) + window - now) / 1000)))
end

-- The grants from head on that have units left, as a new log; their totals begin with what is not gone.
local function rewrite(log, window, head, gone)
  local blocks, records, count = {}, { struct.pack(HEADER, 0, 0, 0) }, 0
  local granted, newest = gone, 0
  local first = head
  while first <= log.tail do
    local block = floor((first - 1) / BLOCK)
    local last = min(log.tail, (block + 1) * BLOCK)
    local latest, less = opening(log, block)
    local bytes = ''
    if units_before(log, last + 1) > granted then
      bytes = redis.call('GETRANGE', log.key, place(first), place(last) + 15)
    end
    for from = 1, #bytes, 16 do
      local time, total = struct.unpack(RECORD, bytes, from)
      if total - less > granted then
        if count > 0 and count % BLOCK == 0 then
          blocks[#blocks + 1] = table.concat(records)
          records = { struct.pack(RECORD, math.huge, 0) }
        end
        granted, newest, count = total - less, min(time, latest), count + 1
        records[#records + 1] = struct.pack(RECORD, newest, granted - gone)
      end
    end
    first = last + 1
  end
  if count == 0 then return redis.call('DEL', log.key) end
  write_log(log.key, window, newest, table.concat(blocks) .. table.concat(records))
end

-- Leaves out what is gone, of a long log in whole blocks: all others are copied as they are.
local function cut(log, window, head, gone)
  if log.tail <= BLOCK then return rewrite(log, window, head, gone) end
  local block = floor((head - 1) / BLOCK)
  local from, last = block * BLOCK, (block + 1) * BLOCK
  local latest, less = opening(log, block)
  local first = changed(log, from + 1, min(last, log.tail), latest, less, 0)
  -- In pieces, and the last one first: one large piece would be copied again and again.
  local dropped, pieces, length = place(from + 1) - 24, {}, place(log.tail) + 16
  for at = place(last) + 16, length - 1, PIECE do
    pieces[#pieces + 1] = redis.call('GETRANGE', log.key, at, at + PIECE - 1)
  end
  write_log(log.key, window, log.last, struct.pack(HEADER, head - 1 - from, gone, log.empty) .. first)
  for i = #pieces, 1, -1 do
    redis.call('SETRANGE', log.key, place(last) + 16 + (i - 1) * PIECE - dropped, pieces[i])
  end
end

-- Of the grants that go now, no more had units than units go: the others were given back.
local function let_go(log, head, gone)
  local empty = log.empty - max(0, head - 1 - log.head - (gone - log.base))
  redis.call('SETRANGE', log.key, 0, struct.pack(HEADER, head - 1, gone, max(0, empty)))
end

local function append(log, window, head, gone, units)
  local expired = head - 1
  -- The first block of a long log stays until all of it is gone.
  if expired > log.tail - expired + 16 and (log.tail <= BLOCK or expired >= BLOCK) then
    cut(log, window, head, gone)
    log = open_log(log.key)
    head, gone = log.head + 1, log.base
    expired = log.head
  end
  local start = log.tail % BLOCK == 0 and struct.pack(RECORD, math.huge, 0) or ''
  redis.call('APPEND', log.key, start .. struct.pack(RECORD, now, log.total + units))
  if expired > log.head or gone > log.base then let_go(log, head, gone) end
  redis.call('PEXPIRE', log.key, ceil(window / 1000))
end

local function sliding_window_log(key, terms, cost, take)
  local counts, limit, window = unpack(terms)
  local log = open_log(key)
  if log and take and log.last > now then
    -- After a step back of the clock, grants that seem to lie ahead were made now at the latest.
    local ahead = first_after(log, TIME, now, log.head + 1)
    change(log, ahead, ahead, now, 0, 0)
    redis.call('PEXPIRE', key, ceil(window / 1000))
    log = open_log(key)
  end
  if log and take and log.total + min(cost, limit) > MOST then
    local from = first_after(log, TIME, now - window, log.head + 1)
    rewrite(log, window, from, units_before(log, from))
    log = open_log(key)
  end
  local head, gone, used = 1, 0, 0
  if log then
    head = first_after(log, TIME, now - window, log.head + 1)
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
  elseif take and cost > 0 and counts == 1 and limit > 0 then
    -- As if the last units asked for had been granted: the oldest make room.
    units = min(cost, limit)
    after = limit
    if used > 0 then
      gone = gone + used + units - limit
      head = first_after(log, TOTAL, gone, head)
    end
  end

  if units > 0 then
    if not log or head > log.tail then
      write_log(key, window, now, struct.pack(HEADER, 0, 0, 0) .. struct.pack(RECORD, now, units))
    else
      append(log, window, head, gone, units)
    end
  end

  local retry = NEVER
  if not allowed and cost <= limit and limit > 0 then
    if units > 0 then
      log = open_log(key)
      head = log.head + 1
    end
    local time = grant(log, first_after(log, TOTAL, log.total - (limit - cost) - 1, head))
    retry = min(time, now) + window
  end
  local last = units > 0 and now or log and min(log.last, now)
  return allowed, limit - after, after > 0 and last + window or now, retry, now
end
`,

  back: `
local function sliding_window_log_back(key, terms, units, at)
  local window = terms[3]
  local log = open_log(key)
  if not log then return end
  local head = first_after(log, TIME, now - window, log.head + 1)
  if head > log.tail then return redis.call('DEL', key) end
  local gone = units_before(log, head)
  local from, least = head, gone
  if at then
    from = first_after(log, TIME, at - 1, head)
    least = units_before(log, from)
    units = min(units, units_before(log, first_after(log, TIME, at, from)) - least)
  end
  if units == 0 then return end
  if units >= log.total - gone then return redis.call('DEL', key) end

  if least == gone then
    -- The oldest units leave first, so that never too much room is made.
    gone = gone + units
    let_go(log, first_after(log, TOTAL, gone, head), gone)
  else
    from = first_after(log, TOTAL, least, from)
    local rest = first_after(log, TOTAL, least + units - 1, from)
    log.empty = log.empty + rest - from
    if units_before(log, rest + 1) == least + units then log.empty = log.empty + 1 end
    local latest = math.huge
    if log.total == least + units then
      -- The log now ends with an earlier grant, and what comes after that one says nothing any more.
      local last = first_after(log, TOTAL, least - 1, head)
      from, latest = last + 1, (grant(log, last))
    end
    change(log, from, rest, latest, units, least)
    if 2 * log.empty > log.tail - head + 17 then return rewrite(open_log(key), window, head, gone) end
    let_go(log, head, gone)
    if latest < log.last then log.last = latest end
  end
  redis.call('PEXPIRE', key, max(1, ceil((min(log.last, now) + window - now) / 1000)))
end
`,
};
