import { script } from '../redis/script.js';
import { columns, otherNames } from './tally.js';

/** Something for each column of a tally: names are numbered, patterns are repeated. */
function all(what: string, separator = ', '): string {
  const isName = /^\w+$/.test(what);
  return Array.from({ length: columns }, (_, i) => (isName ? `${what}${i + 1}` : what)).join(separator);
}

const sums = Array.from({ length: columns }, (_, i) => `a${i + 1} + b${i + 1}`).join(', ');

/**
 * Adds what a process has counted in a minute to the minute and to its hour, once: all is read before anything is
 * written, so that a key that holds something else fails all of it.
 *
 * KEYS   the number of the last hand-over of the process; the minute's hashes of tallies; the hour's, in the same
 *        order; the hashes of summaries
 * ARGV   the number of this hand-over; how many hashes of tallies a minute has; the seconds that the number, the minute,
 *        the hour and the summaries are kept; the process;
 *        for each hash of a minute: how many names it may have, how many there are here, and those, each with its tally;
 *        for each hash of summaries the process' one, or an empty text
 * reply  1; 0 if it was handed over before
 */
export const handOver = script(`
local number, hashes = tonumber(ARGV[1]), tonumber(ARGV[2])
if number <= tonumber(redis.call('GET', KEYS[1]) or '0') then return 0 end

local function sum(before, added)
  local ${all('a')} = string.match(before, '^${all('(%d+)', ' ')}$')
  local ${all('b')} = string.match(added, '^${all('(%d+)', ' ')}$')
  if not a1 or not b1 then error('SLUICE_STATE: this is no tally: ' .. before) end
  return string.format('${all('%.0f', ' ')}', ${sums})
end

local function fields(key, most, first, count)
  local names = {}
  for i = 1, count do names[i] = ARGV[first + 2 * (i - 1)] end
  local known = redis.call('HMGET', key, '${otherNames}', unpack(names))
  local room = most - redis.call('HLEN', key)
  local totals = {}
  for i = 1, count do
    local name, before = names[i], known[i + 1]
    if not before and name ~= '${otherNames}' then
      if room > 0 then room = room - 1 else name = '${otherNames}' end
    end
    if name == '${otherNames}' then before = totals[name] or known[1] end
    local added = ARGV[first + 2 * i - 1]
    totals[name] = before and sum(before, added) or added
  end
  local list = {}
  for name, total in pairs(totals) do
    list[#list + 1] = name
    list[#list + 1] = total
  end
  return list
end

local writes = {}
local at = 8
for hash = 1, hashes do
  local most, count = tonumber(ARGV[at]), tonumber(ARGV[at + 1])
  if count > 0 then
    for unit = 0, 1 do
      local key = KEYS[1 + hash + unit * hashes]
      writes[#writes + 1] = { key, ARGV[4 + unit], fields(key, most, at + 2, count) }
    end
  end
  at = at + 2 + 2 * count
end
for i = 1, #KEYS - 1 - 2 * hashes do
  local key, summary = KEYS[1 + 2 * hashes + i], ARGV[at + i - 1]
  if summary ~= '' then
    redis.call('HLEN', key)
    writes[#writes + 1] = { key, ARGV[6], { ARGV[7], summary } }
  end
end

redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[3])
for _, write in ipairs(writes) do
  redis.call('HSET', write[1], unpack(write[3]))
  redis.call('EXPIRE', write[1], write[2])
end
return 1
`);
