import { freed } from './freed.js';

/**
 * Gives units back, and tells of keys that had none before.
 *
 * ARGV   per refund its terms, its units, and when they were granted (or -1)
 * reply  1
 */
export const release = `${freed}
local function release(k, n, a, at)
  for i = 0, n - 1 do
    local terms, granted = terms_of(ARGV[a + 3 * i]), tonumber(ARGV[a + 3 * i + 2])
    local key = KEYS[k + i]
    local _, left = deciders[terms.letter](key, terms, 0, false)
    givers[terms.letter](key, terms, tonumber(ARGV[a + 3 * i + 1]), granted >= 0 and granted or nil)
    if left < 1 then tell_freed(key) end
  end
  reply[at] = 1
end
`;
