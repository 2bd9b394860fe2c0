import { consume } from './consume.js';

/**
 * Takes units that callers wait for, one for each as far as there are any; and in the same step leases more to whoever
 * asks. Stands behind the functions of `consume`.
 *
 * ARGV   the terms; how many units are waited for; how many are to be leased besides, in how many parts what is left then
 *        is shared, and for how many microseconds (0: none can be)
 * reply  the units taken; for how many microseconds from now the leased ones of them may be spent; and as for `consume`,
 *        what would be answered to one who asks for one more
 */
export const leaseFunction = `
local function lease(k, n, a, at)
  local key, terms = KEYS[k], terms_of(ARGV[a])
  local demand, extra, share = tonumber(ARGV[a + 1]), tonumber(ARGV[a + 2]), tonumber(ARGV[a + 3])
  local lasts = tonumber(ARGV[a + 4])
  local decide = deciders[terms.letter]
  local _, left = decide(key, terms, 0, false)
  left = max(0, left)
  local granted = min(demand, left)
  local leased = lasts > 0 and min(extra, floor((left - granted) / share)) or 0
  reply[at], reply[at + 1] = granted + leased, 0
  if leased > 0 then
    local ends, rest, fresh = lessors[terms.letter](key, terms, granted + leased, leased, lasts)
    reply[at + 1] = ends - now
    if rest > 0 then return write(at + 2, true, rest, fresh, now, now) end
  elseif granted > 0 then
    decide(key, terms, granted, true)
  end
  -- A refusal brings a state back to the present, as any does.
  answer(key, terms, 1, at + 2, granted < demand)
end
`;

export const lease = consume + leaseFunction;
