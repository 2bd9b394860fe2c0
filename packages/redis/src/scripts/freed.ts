/**
 * Tells whoever listens that a key has units again: a deny cache may know of a refusal that is void now. Nobody need
 * listen, and a user without the right to publish does without.
 *
 * The message, on the channel `prefix:freed`, is what stands for the key of the client in the names of its states.
 */
export const freed = `
local function tell_freed(key)
  local prefix, tag = string.match(key, '^(.*):[%l-]+:{([^{}]*)}[^{}]*$')
  if prefix then pcall(redis.call, 'PUBLISH', prefix .. ':freed', tag) end
end
`;
