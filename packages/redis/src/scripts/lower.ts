/**
 * Makes sure that no more is left of a key than a process knows of, where the server may have lost its counts.
 *
 * KEYS   one per policy and key
 * ARGV   the fence, then per key: its terms, the most units that are left, and when it is fresh at the earliest
 * reply  the time, and 1; the time alone if it came too late
 */
export const lower = `
for i = 1, #KEYS do
  local terms = ARGV[3 * i - 1]
  local letter = string.sub(terms, 1, 1)
  local decide = deciders[letter]
  local _, left = decide(KEYS[i], terms, 0, false)
  local excess = left - tonumber(ARGV[3 * i])
  if excess > 0 then decide(KEYS[i], terms, excess, true) end
  if letter == 'b' then
    -- A bucket owes parts of a unit, too, which are not seen in what is left.
    local _, rest, fresh = decide(KEYS[i], terms, 0, false)
    if rest > 0 and fresh < tonumber(ARGV[3 * i + 1]) then decide(KEYS[i], terms, 1, true) end
  end
end
return { now, 1 }
`;
