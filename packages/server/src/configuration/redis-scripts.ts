/** Opens every script: the keys, which share a slot, and what the version's key says of the others. */
const prelude = `
local version_key, audit = KEYS[1], KEYS[5]

-- What is kept has gone, or a part of it: a server that evicts keys, or somebody who deleted one.
local function state()
  local text = redis.call('GET', version_key)
  if not text then
    if redis.call('EXISTS', KEYS[2], KEYS[3], KEYS[4], audit) > 0 then return nil, { 'lost', 'version' } end
    return { 0, 0, 0, 0 }
  end
  local version, rules, allow, block = string.match(text, '^1 (%d+) (%d+) (%d+) (%d+)$')
  if not version then return nil, { 'unreadable', string.sub(text, 1, 40) } end
  local found = { tonumber(version), tonumber(rules), tonumber(allow), tonumber(block) }
  for i = 2, 4 do
    if redis.call('HLEN', KEYS[i]) ~= found[i] then return nil, { 'lost', KEYS[i] } end
  end
  return found
end

-- The entry of a write that was made lately, as XRANGE tells it.
local function made(write, count)
  for _, item in ipairs(redis.call('XREVRANGE', audit, '+', '-', 'COUNT', count)) do
    if item[2][2] == write then return { 'written', item[1], item[2] } end
  end
end
`;

/** KEYS: version, rules, allow, block, audit log. Reply: 'version' and the version; or as of `state`. */
export const versionScript = `${prelude}
local found, failure = state()
return failure or { 'version', found[1] }
`;

/** KEYS: as above. Reply: the time of the server, in seconds and microseconds. */
export const timeScript = `return redis.call('TIME')`;

/** KEYS: as above. ARGV: name of a write. Reply: the time, and the write, or nothing where it was not made. */
export const lookScript = `${prelude}
local time = redis.call('TIME')
return { time[1], time[2], made(ARGV[1], 1000) or false }
`;

/**
 * KEYS: as above.
 * ARGV: the fence, the time of the server in microseconds from which on nothing is written; a name for the write that no
 * other has; the key that is written, 2 to 4; its kind; the id; the value, or '' for none; what is expected, a word or
 * versions between spaces; who writes; the highest version that the writer has seen; the length of the audit log; the channel.
 * Reply: 'written' with its entry of the audit log; 'conflict' with what was found; 'late'; 'behind' with the
 * version, where the writer has seen a higher one; or as of `state`.
 *
 * The audit log comes first: where writing is refused, that refuses it, and nothing is written by halves.
 */
export const writeScript = `${prelude}
local fence, write, which, kind, id, value, expected, by = tonumber(ARGV[1]), unpack(ARGV, 2, 8)
local before = made(write, 20)
if before then return before end

local time = redis.call('TIME')
if time[1] * 1000000 + time[2] > fence then return { 'late' } end
local at = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))

local found, failure = state()
if not found then return failure end
-- Written on top of less than the writer knows, one version would mean two things, and what is lost would be so for good.
if found[1] < tonumber(ARGV[9]) then return { 'behind', found[1] } end
local key = KEYS[tonumber(which)]
local old = redis.call('HGET', key, id) or ''
local version, created = string.match(old, '^1 (%d+) (%d+) ')
if old ~= '' and not version then return { 'unreadable', string.sub(old, 1, 40) } end
local fits
if expected == 'anything' then fits = true
elseif expected == 'absent' then fits = not version
elseif expected == 'present' then fits = version
else fits = version and string.find(expected, ' ' .. version .. ' ', 1, true) end
if not fits then return { 'conflict', old } end

local next = string.format('%.0f', found[1] + 1)
local new = ''
if value ~= '' then new = table.concat({ '1', next, created or at, at, value }, ' ') end
local entry = { 'write', write, 'format', '1', 'at', at, 'by', by, 'kind', kind, 'id', id, 'before', old, 'after', new }
redis.call('XADD', audit, 'MAXLEN', ARGV[10], next .. '-0', unpack(entry))
if new ~= '' then redis.call('HSET', key, id, new) else redis.call('HDEL', key, id) end
local size = tonumber(which)
found[size] = found[size] + (new ~= '' and 1 or 0) - (version and 1 or 0)
redis.call('SET', version_key, string.format('1 %s %.0f %.0f %.0f', next, found[2], found[3], found[4]))
-- Who may not publish is heard with the next poll.
redis.pcall('PUBLISH', ARGV[11], next)
return { 'written', next .. '-0', entry }
`;
