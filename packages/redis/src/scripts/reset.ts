/**
 * Forgets keys.
 *
 * reply  1
 */
export const reset = `
local function reset(k, n, a, at)
  redis.call('DEL', unpack(KEYS, k, k + n - 1))
  reply[at] = 1
end
`;
