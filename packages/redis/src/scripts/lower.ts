/**
 * Makes sure that no more is left of a key than a process knows of, where the server may have lost its counts.
 *
 * ARGV   per key its terms, the most units that are left, and when it is fresh at the earliest
 * reply  1
 */
export const lower = `
local function lower(k, n, a, at)
  for i = 0, n - 1 do
    local key, terms = KEYS[k + i], terms_of(ARGV[a + 3 * i])
    local most, fresh_by = tonumber(ARGV[a + 3 * i + 1]), tonumber(ARGV[a + 3 * i + 2])
    local decide = deciders[terms.letter]
    if fresh_by > now then
      local _, left, fresh = decide(key, terms, 0, false)
      if left > most then _, left, fresh = decide(key, terms, left - most, true) end
      -- A bucket owes parts of a unit, too, which are not seen in what is left; and its ticks may begin at other instants.
      if terms.letter == 'b' and left > 0 and fresh < fresh_by then
        _, left, fresh = decide(key, terms, 1, true)
        if left > 0 and fresh < fresh_by then decide(key, terms, min(left, ceil(terms[5] / terms[4])), true) end
      end
    end
  end
  reply[at] = 1
end
`;
