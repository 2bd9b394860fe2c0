export const write = `
-- Writes the answer, which begins there.
local function write(at, allowed, left, fresh, retry, from)
  if left < 0 then left = 0 end
  reply[at] = allowed and left or -1 - left
  reply[at + 1] = fresh > now and fresh - now or 0
  if allowed then reply[at + 2] = from > now and from - now or 0
  else reply[at + 2] = retry == NEVER and NEVER or retry - now end
  return allowed
end

`;

/**
 * Takes every charge of a call, or none; or only looks.
 *
 * ARGV   per charge its terms and its cost
 * reply  per charge: the units left, or if it is refused, -1 less these; and in microseconds from now: until the key is fresh,
 *        and how long to hold a grant, or until the cost would be granted (-1: never)
 */
export const consume = `${write}
-- Decides on one charge, and writes the answer.
local function answer(key, terms, cost, at, take)
  return write(at, deciders[terms.letter](key, terms, cost, take))
end

local function charge(key, a, at, take)
  return answer(key, terms_of(ARGV[a]), tonumber(ARGV[a + 1]), at, take)
end

local function peek(k, n, a, at)
  local granted = true
  for i = 0, n - 1 do
    if not charge(KEYS[k + i], a + 2 * i, at + 3 * i, false) then granted = false end
  end
  return granted
end

local function consume(k, n, a, at)
  if n == 1 then return charge(KEYS[k], a, at, true) end
  local granted = peek(k, n, a, at)
  for i = 0, n - 1 do
    -- When one refuses, only refusals are decided for good: they may count, or bring a state back to the present.
    local refused = reply[at + 3 * i] < 0
    local counts = terms_of(ARGV[a + 2 * i])[1] == 1
    if granted and ARGV[a + 2 * i + 1] ~= '0' or not granted and (refused or counts) then
      charge(KEYS[k + i], a + 2 * i, at + 3 * i, true)
    end
  end
end
`;
