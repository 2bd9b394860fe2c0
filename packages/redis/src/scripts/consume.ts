/**
 * Takes every charge, or none; or only looks.
 *
 * KEYS   one per charge
 * ARGV   the fence, 1 to take or 0 to look, then per charge its terms and its cost
 * reply  the time; then per charge: 1 if granted, the units left, and in microseconds from now: until the key is fresh,
 *        until the cost would be granted (-1: never), and how long to hold a grant. The time alone if it came too late.
 */
export const consume = `
local reply = { now }

local function answer(i, take)
  local terms = ARGV[2 * i + 1]
  local allowed, left, fresh, retry, from =
    deciders[string.sub(terms, 1, 1)](KEYS[i], terms, tonumber(ARGV[2 * i + 2]), take)
  local at = 5 * i - 3
  reply[at] = allowed and 1 or 0
  reply[at + 1] = max(0, left)
  reply[at + 2] = max(0, fresh - now)
  reply[at + 3] = allowed and 0 or retry == NEVER and NEVER or retry - now
  reply[at + 4] = allowed and max(0, from - now) or 0
  return allowed
end

local take = ARGV[2] == '1'
if #KEYS == 1 then
  answer(1, take)
  return reply
end

local granted = true
for i = 1, #KEYS do
  if not answer(i, false) then granted = false end
end
if take then
  for i = 1, #KEYS do
    -- When one refuses, only refusals are decided for good: they may count, or bring a state back to the present.
    local refused = reply[5 * i - 3] == 0
    local counts = string.sub(ARGV[2 * i + 1], 2, 2) == '1'
    if granted and ARGV[2 * i + 2] ~= '0' or not granted and (refused or counts) then answer(i, true) end
  end
end
return reply
`;
