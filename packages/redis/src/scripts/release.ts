/**
 * Gives units back.
 *
 * KEYS   one per refund
 * ARGV   the fence, then per refund its terms, its units, and when they were granted (or -1)
 * reply  the time, and 1; the time alone if it came too late
 */
export const release = `
for i = 1, #KEYS do
  local terms = ARGV[3 * i - 1]
  local at = tonumber(ARGV[3 * i + 1])
  givers[string.sub(terms, 1, 1)](KEYS[i], terms, tonumber(ARGV[3 * i]), at >= 0 and at or nil)
end
return { now, 1 }
`;
