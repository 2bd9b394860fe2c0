import { freed } from './freed.js';

/**
 * Forgets keys, and tells of them; of a bucket, all but what is leased, which is spent after that.
 *
 * ARGV   per key its terms
 * reply  1
 */
export const reset = `${freed}
local function reset(k, n, a, at)
  for i = 0, n - 1 do
    local key, terms = KEYS[k + i], terms_of(ARGV[a + i])
    local is_read, is_kept
    if terms.letter == 'b' then is_read, is_kept = pcall(givers.b, key, terms, terms[2]) end
    -- What is no state of ours is forgotten, too.
    if not (is_read and is_kept) then redis.call('DEL', key) end
    tell_freed(key)
  end
  reply[at] = 1
end
`;
