import { fence } from '../redis/fence.js';

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

-- The latest version that a process has seen, and the write that made it, are no part of what is here. Versions of
-- another million come after a recovery, which takes the place of all that was before.
local function behind(version, seen, write)
  if version < seen then return { 'behind', version } end
  if math.floor(version / 1000000) > math.floor(seen / 1000000) then return nil end
  local id = string.format('%.0f-0', seen)
  local item = redis.call('XRANGE', audit, id, id)[1]
  if item and write ~= '' and item[2][2] ~= write then return { 'behind', version, 'other' } end
end

-- The entry of a write that was made lately, as XRANGE tells it.
local function made(write, count)
  for _, item in ipairs(redis.call('XREVRANGE', audit, '+', '-', 'COUNT', count)) do
    if item[2][2] == write then return { 'written', item[1], item[2] } end
  end
end

-- Bytes of all the entries that were ever written, up to this one.
local function bytes_until(item)
  return item and item[2][3] == 'bytes' and tonumber(item[2][4]) or 0
end

-- Adds the entry of a write, of which the name comes first, and forgets the oldest ones: those beyond so many, and some
-- more where the rest takes more than so many bytes. The latest stays in any case.
local function log(id, fields, length, most)
  local bytes = bytes_until(redis.call('XREVRANGE', audit, '+', '-', 'COUNT', 1)[1])
  for _, field in ipairs(fields) do bytes = bytes + #field end
  local entry = { fields[1], fields[2], 'bytes', string.format('%.0f', bytes), unpack(fields, 3) }
  redis.call('XADD', audit, 'MAXLEN', length, id, unpack(entry))
  local left = redis.call('XLEN', audit)
  while left > 1 do
    local oldest = redis.call('XRANGE', audit, '-', '+', 'COUNT', 1)[1]
    if bytes - bytes_until(oldest) <= tonumber(most) then break end
    left = math.floor(left * 7 / 8)
    redis.call('XTRIM', audit, 'MAXLEN', left)
  end
  return entry
end

-- Tells one state from every other, be it whole or not: what the version's key says, and the latest write and its name.
local function token()
  local item = redis.call('XREVRANGE', audit, '+', '-', 'COUNT', 1)[1]
  return (redis.call('GET', version_key) or '') .. '|' .. (item and item[1] .. '|' .. item[2][2] or '')
end
`;

/**
 * KEYS: version, rules, allow, block, audit log. ARGV: the highest version that the process has seen, the name of the
 * write that made it, or ''.
 * Reply: 'version', the version, and the name of its write, or ''; 'behind' and the version where that lacks what the
 * process has seen, and 'other' where it is no lower; or as of `state`.
 */
export const versionScript = `${prelude}
local found, failure = state()
if not found then return failure end
local lacks = behind(found[1], tonumber(ARGV[1]), ARGV[2])
if lacks then return lacks end
local item = redis.call('XREVRANGE', audit, '+', '-', 'COUNT', 1)[1]
local write = item and item[1] == string.format('%.0f-0', found[1]) and item[2][2] or ''
return { 'version', found[1], write }
`;

/** KEYS: as above. ARGV: name of a write. Reply: the time, and the write, or nothing where it was not made. */
export const lookScript = `${prelude}
local time = redis.call('TIME')
return { time[1], time[2], made(ARGV[1], 1000) or false }
`;

/**
 * KEYS: as above.
 * ARGV: the fence, the time of the server in microseconds from which on nothing is written; a name for the write that no
 * other has; the key that is written, 2 to 4; its kind; the id; the value, or '' for none; when the value ends, in
 * milliseconds, or ''; what is expected, a word or versions between spaces; who writes; the time of the writer, in
 * milliseconds, at which what has ended is absent; the highest version that it has seen, and the name of its write; the
 * length of the audit log; the channel; the bytes of the audit log.
 * Reply: 'written' with its entry of the audit log; 'conflict' with what was found; 'late'; or as of `behind` and `state`.
 *
 * The audit log comes first: where writing is refused, that refuses it, and nothing is written by halves.
 */
export const writeScript = `${prelude}
local write, which, kind, id, value, ends, expected, by = unpack(ARGV, 2, 9)
local before = made(write, 20)
if before then return before end
${fence}if late then return { 'late' } end
local at = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))

local found, failure = state()
if not found then return failure end
-- Written on top of less than the writer knows, one version would mean two things, and what is lost would be so for good.
local lacks = behind(found[1], tonumber(ARGV[11]), ARGV[12])
if lacks then return lacks end
local key = KEYS[tonumber(which)]
local old = redis.call('HGET', key, id) or ''
local version, created, end_of_old = string.match(old, '^1 (%d+) (%d+) %d+ (%d*)')
if old ~= '' and not version then return { 'unreadable', string.sub(old, 1, 40) } end
local there = version and (end_of_old == '' or tonumber(end_of_old) > tonumber(ARGV[10]))
local fits
if expected == 'anything' then fits = true
elseif expected == 'absent' then fits = not there
elseif expected == 'present' then fits = there
else fits = (there or value == '') and version and string.find(expected, ' ' .. version .. ' ', 1, true) end
if not fits then return { 'conflict', there and old or '' } end

local next = string.format('%.0f', found[1] + 1)
local new = ''
if value ~= '' then
  new = table.concat({ '1', next, there and created or at, at, ends == '' and value or ends .. ' ' .. value }, ' ')
end
local entry = log(next .. '-0', { 'write', write, 'format', '1', 'at', at, 'by', by, 'kind', kind, 'id', id,
  'before', (there or value == '') and old or '', 'after', new }, ARGV[13], ARGV[15])
if new ~= '' then redis.call('HSET', key, id, new) else redis.call('HDEL', key, id) end
local size = tonumber(which)
found[size] = found[size] + (new ~= '' and 1 or 0) - (version and 1 or 0)
redis.call('SET', version_key, string.format('1 %s %.0f %.0f %.0f', next, found[2], found[3], found[4]))
-- Who may not publish is heard with the next poll.
redis.pcall('PUBLISH', ARGV[14], next)
return { 'written', next .. '-0', entry }
`;

/** KEYS and ARGV: as of the version. Reply: what that one would be, and a token of the state. */
export const surveyScript = `${prelude}
local found, failure = state()
return { failure or behind(found[1], tonumber(ARGV[1]), ARGV[2]) or { 'version', found[1] }, token() }
`;

/**
 * KEYS: a hash beside the others, in which a recovery puts together what is to take the place of one of them.
 * ARGV: milliseconds after which it goes by itself; ids and values.
 */
export const stageScript = `
redis.call('HSET', KEYS[1], unpack(ARGV, 2))
redis.call('PEXPIRE', KEYS[1], ARGV[1])
`;

/**
 * KEYS: as above, and three hashes that were put together to take the place of rules, allow and block.
 * ARGV: the fence; a name for the write; the token of the state that is replaced; the version; the number of ids in each
 * of the three hashes; who recovers; from what; the length of the audit log; the channel; the bytes of the audit log.
 * Reply: 'written' with its entry of the audit log; 'late'; 'changed' where the state is another one by now, or a part of
 * what was put together is gone.
 */
export const recoverScript = `${prelude}
local write, expected, version = unpack(ARGV, 2, 4)
local before = made(write, 20)
if before then return before end
${fence}if late then return { 'late' } end
if token() ~= expected then return { 'changed' } end
for i = 1, 3 do
  if redis.call('HLEN', KEYS[5 + i]) ~= tonumber(ARGV[4 + i]) then return { 'changed' } end
end

local at = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
local entry = log(version .. '-0', { 'write', write, 'format', '1', 'at', at, 'by', ARGV[8], 'kind', 'recovery',
  'id', ARGV[9], 'before', '', 'after', '' }, ARGV[10], ARGV[12])
for i = 1, 3 do
  redis.call('UNLINK', KEYS[1 + i])
  if tonumber(ARGV[4 + i]) > 0 then
    redis.call('RENAME', KEYS[5 + i], KEYS[1 + i])
    redis.call('PERSIST', KEYS[1 + i])
  end
end
redis.call('SET', version_key, table.concat({ '1', version, ARGV[5], ARGV[6], ARGV[7] }, ' '))
redis.pcall('PUBLISH', ARGV[11], version)
return { 'written', version .. '-0', entry }
`;
