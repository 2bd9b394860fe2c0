/**
 * Opens every script: the time of the server, read once, in microseconds since the epoch; and the fence. A call that
 * arrives after its fence does nothing but tell the time: whoever sent it has been answered otherwise by then.
 */
export const opening = `
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local reply = { now }
if now > tonumber(ARGV[1]) then return reply end

`;

/** The functions of the runtime that scripts call by a shorter name, and the numbers that have one. */
export const names = `
local floor, ceil, min, max = math.floor, math.ceil, math.min, math.max
local pack, parts = struct.pack, struct.unpack
local NEVER, EXACT = -1, 2 ^ 53
`;

/**
 * Reads the numbers of a state, two or three: the text `state` is under `key`. What is no state of ours is left alone, and
 * the call fails.
 */
export function numbersOf(...numbers: readonly string[]): string {
  const isCount = (number: string) => `${number} >= 0 and ${number} < EXACT and ${number} % 1 == 0`;
  return `
    if #state ~= ${8 * numbers.length} then error('SLUICE_STATE ' .. key) end
    local ${numbers.join(', ')} = parts('>${'d'.repeat(numbers.length)}', state)
    if not (${numbers.map(isCount).join(' and ')}) then
      error('SLUICE_STATE ' .. key)
    end`;
}

/** Keeps the numbers under `key` until the instant `fresh`, at which they say nothing any more. */
export function saveNumbers(...numbers: readonly string[]): string {
  return `
      if fresh <= now then redis.call('DEL', key)
      else
        local state = pack('>${'d'.repeat(numbers.length)}', ${numbers.join(', ')})
        redis.call('SET', key, state, 'PX', ceil((fresh - now) / 1000))
      end`;
}

/** What stands behind the opening of every script but the shortest. */
export const functions = `${names}
local function corrupt(key)
  error('SLUICE_STATE ' .. key)
end

-- What the terms of a policy say: its algorithm's letter, and its numbers, seven at the most. Many calls name the same.
local known = {}
local function terms_of(text)
  local terms = known[text]
  if not terms then
    local letter, a, b, c, d, e, f, g = string.match(text, '^(%l)(%d+) (%d+) (%d+) ?(%d*) ?(%d*) ?(%d*) ?(%d*)$')
    terms = {
      tonumber(a), tonumber(b), tonumber(c), tonumber(d), tonumber(e), tonumber(f), tonumber(g), letter = letter
    }
    known[text] = terms
  end
  return terms
end

-- Keeps a state until the instant at which it says nothing any more: two numbers or three.
local function save(key, fresh, a, b, c)
  if fresh <= now then return redis.call('DEL', key) end
  local state = c and pack('>ddd', a, b, c) or pack('>dd', a, b)
  redis.call('SET', key, state, 'PX', ceil((fresh - now) / 1000))
end

-- The numbers of a state, of which there are so many, three at the most.
local function numbers_of(key, state, count)
  if #state == 8 * count then
    local a, b, c = parts(count == 3 and '>ddd' or count == 2 and '>dd' or '>d', state)
    -- Behind the numbers stands a place in the text.
    b, c = b or 0, c or 0
    if a >= 0 and a < EXACT and a % 1 == 0 and b >= 0 and b < EXACT and b % 1 == 0 and c >= 0 and c < EXACT and c % 1 == 0 then
      return a, b, c
    end
  end
  corrupt(key)
end

-- The numbers of a key's state, or nil where there is none.
local function load(key, count)
  local state = redis.call('GET', key)
  if state then return numbers_of(key, state, count) end
end
`;
