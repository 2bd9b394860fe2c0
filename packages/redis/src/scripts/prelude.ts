/**
 * Opens every script: the time of the server, read once, in microseconds since the epoch; and the fence. A call that
 * arrives after its fence does nothing but tell the time: whoever sent it has been answered otherwise by then.
 */
export const prelude = `
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
if now > tonumber(ARGV[1]) then return { now } end

local floor, ceil, min, max = math.floor, math.ceil, math.min, math.max
local NEVER = -1

local function corrupt(key)
  error('SLUICE_STATE ' .. key)
end

-- Keeps a state until the instant at which it says nothing any more.
local function save(key, fresh, a, b, c)
  if fresh <= now then return redis.call('DEL', key) end
  local state = c and string.format('%.0f %.0f %.0f', a, b, c) or string.format('%.0f %.0f', a, b)
  redis.call('SET', key, state, 'PX', ceil((fresh - now) / 1000))
end

-- The numbers of a state, or nil where there is none.
local function load(key, pattern)
  local state = redis.call('GET', key)
  if not state then return nil end
  local a, b, c = string.match(state, pattern)
  -- Longer than three numbers of ours are together.
  if not a or #state > 50 then corrupt(key) end
  return tonumber(a), tonumber(b), tonumber(c)
end
`;
