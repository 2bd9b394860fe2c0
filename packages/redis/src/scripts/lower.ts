/**
 * Makes sure that no more units are left than a process knows of, where the server may have lost its counts.
 *
 * KEYS   one per policy and key
 * ARGV   the fence, then per key its terms and the most units that are left
 * reply  the time, and 1; the time alone if it came too late
 */
export const lower = `
for i = 1, #KEYS do
  local terms = ARGV[2 * i]
  local decide = deciders[string.sub(terms, 1, 1)]
  local _, left = decide(KEYS[i], terms, 0, false)
  local excess = left - tonumber(ARGV[2 * i + 1])
  if excess > 0 then decide(KEYS[i], terms, excess, true) end
end
return { now, 1 }
`;
