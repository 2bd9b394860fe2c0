/**
 * Opens every script: the time of the server, read once, in microseconds since the epoch; and the fence. A call that
 * arrives after its fence does nothing but tell the time: whoever sent it has been answered otherwise by then.
 */
export const prelude = `
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local reply = { now }
if now > tonumber(ARGV[1]) then return reply end

local floor, ceil, min, max = math.floor, math.ceil, math.min, math.max
local NEVER = -1

local function corrupt(key)
  error('SLUICE_STATE ' .. key)
end

-- What the terms of a policy say: its algorithm's letter, and its numbers. Many calls name the same.
local known = {}
local function terms_of(text)
  local terms = known[text]
  if not terms then
    terms = { letter = string.sub(text, 1, 1) }
    for number in string.gmatch(text, '%d+') do terms[#terms + 1] = tonumber(number) end
    known[text] = terms
  end
  return terms
end

-- Keeps a state until the instant at which it says nothing any more: two numbers or three.
local function save(key, fresh, a, b, c)
  if fresh <= now then return redis.call('DEL', key) end
  local state = c and struct.pack('>ddd', a, b, c) or struct.pack('>dd', a, b)
  redis.call('SET', key, state, 'PX', ceil((fresh - now) / 1000))
end

local function is_count(number)
  return number >= 0 and number < 2 ^ 53 and number % 1 == 0
end

-- The numbers of a state, so many, or nil where there is none.
local function load(key, count)
  local state = redis.call('GET', key)
  if not state then return nil end
  if #state ~= 8 * count then corrupt(key) end
  local a, b, c = struct.unpack(count == 3 and '>ddd' or '>dd', state)
  if not (is_count(a) and is_count(b) and (count == 2 or is_count(c))) then corrupt(key) end
  return a, b, c
end
`;
