/**
 * Gives units back.
 *
 * ARGV   per refund its terms, its units, and when they were granted (or -1)
 * reply  1
 */
export const release = `
local function release(k, n, a, at)
  for i = 0, n - 1 do
    local terms, granted = terms_of(ARGV[a + 3 * i]), tonumber(ARGV[a + 3 * i + 2])
    givers[terms.letter](KEYS[k + i], terms, tonumber(ARGV[a + 3 * i + 1]), granted >= 0 and granted or nil)
  end
  reply[at] = 1
end
`;
