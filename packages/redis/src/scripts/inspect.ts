/**
 * Tells how the server is set, as far as the user may ask.
 *
 * KEYS   any key of the server
 * reply  the policy of eviction, the most memory in bytes, the role of the server, and how many
 *        replicas it has; empty texts for what is not told
 */
export const inspect = `
local function told(section, name)
  local info = redis.pcall('INFO', section)
  return type(info) == 'string' and string.match(info, name .. ':([%w-]+)') or ''
end
return {
  told('memory', 'maxmemory_policy'), told('memory', 'maxmemory'),
  told('replication', 'role'), told('replication', 'connected_slaves'),
}
`;
