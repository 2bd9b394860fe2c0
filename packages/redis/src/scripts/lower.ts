/**
 * Makes sure that no more is left of a key than a process knows of, where the server may have lost its counts.
 *
 * KEYS   one per policy and key
 * ARGV   the fence, then per key: its terms, the most units that are left, and when it is fresh at the earliest
 * reply  the time, and 1; the time alone if it came too late
 */
export const lower = `
for i = 1, #KEYS do
  local terms, most, fresh_by = ARGV[3 * i - 1], tonumber(ARGV[3 * i]), tonumber(ARGV[3 * i + 1])
  local letter = string.sub(terms, 1, 1)
  local decide = deciders[letter]
  if fresh_by > now then
    local _, left, fresh = decide(KEYS[i], terms, 0, false)
    if left > most then _, left, fresh = decide(KEYS[i], terms, left - most, true) end
    -- A bucket owes parts of a unit, too, which are not seen in what is left.
    if letter == 'b' and left > 0 and fresh < fresh_by then decide(KEYS[i], terms, 1, true) end
  end
end
return { now, 1 }
`;
