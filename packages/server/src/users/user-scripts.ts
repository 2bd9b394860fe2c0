import { fence } from '../redis/fence.js';
import { script } from '../redis/script.js';
import { userFields } from './user-hash.js';

const fields = userFields.map((field) => `'${field}'`).join(', ');

/**
 * Reads a user, and registers him if there is none.
 *
 * KEYS   his hash
 * ARGV   milliseconds to keep him, '1' to keep him that long from now, '1' to register him, the time as text, his id
 *        where the key has a digest, or ''
 * reply  0; 1 if he was registered; 2 if there was no memory for that; then the values of his fields
 */
export const readUser = script(`
local values = redis.call('HMGET', KEYS[1], ${fields})
local limited = values[1] or values[2] or values[3] or values[4]
local ttl, renew, register, at, id = unpack(ARGV)
if limited then
  -- Written by hand onto a user without limits, they would end with him.
  if renew == '1' then redis.call('PERSIST', KEYS[1]) end
elseif values[5] or values[6] then
  if renew == '1' then redis.call('PEXPIRE', KEYS[1], ttl) end
elseif register == '1' then
  local made = redis.pcall('HSET', KEYS[1], 'created_at', at, 'updated_at', at)
  if type(made) == 'table' then
    if string.find(made.err, 'OOM', 1, true) then return { 2, unpack(values) } end
    return made
  end
  if id ~= '' then redis.call('HSET', KEYS[1], 'id', id) end
  redis.call('PEXPIRE', KEYS[1], ttl)
  values[5], values[6] = at, at
  return { 1, unpack(values) }
end
return { 0, unpack(values) }
`);

/**
 * Takes a user back who was registered where there was no room, unless he has been given limits.
 *
 * KEYS   his hash
 * reply  1 if he was taken back, else 0
 */
export const withdrawUser = script(`
if redis.call('HEXISTS', KEYS[1], 'max_tokens') == 1 then return 0 end
if redis.call('HEXISTS', KEYS[1], 'capacity') == 1 then return 0 end
return redis.call('DEL', KEYS[1])
`);

/**
 * Adds a name to the set, if it is not in it and there is room.
 *
 * KEYS   the set
 * ARGV   the name, how many there may be before it, or -1 for any number
 * reply  1 if it is in the set now, else 0; how many are in it
 */
export const listUser = script(`
local size = redis.call('SCARD', KEYS[1])
if redis.call('SISMEMBER', KEYS[1], ARGV[1]) == 1 then return { 1, size } end
local most = tonumber(ARGV[2])
if most >= 0 and size >= most then return { 0, size } end
redis.call('SADD', KEYS[1], ARGV[1])
return { 1, size + 1 }
`);

/**
 * Sets the limits of a user, instead of any he had.
 *
 * KEYS   his hash
 * ARGV   the fence, the channel, his id, the time as text, '1' if the key has a digest, the two fields of
 *        the other bucket, then those of his limits and their values
 * reply  1, and since when there is such a user; -1 if it came too late
 */
export const setUser = script(`${fence}if late then return { -1 } end
local created = redis.pcall('HGET', KEYS[1], 'created_at')
-- What is no hash makes way for one.
if type(created) == 'table' then redis.call('DEL', KEYS[1]) end
if type(created) ~= 'string' then created = ARGV[4] end
-- The first write of all, so that a server without memory refuses it before anything has changed.
redis.call('HSET', KEYS[1], 'created_at', created, 'updated_at', ARGV[4], unpack(ARGV, 8))
redis.call('HDEL', KEYS[1], ARGV[6], ARGV[7])
redis.call('PERSIST', KEYS[1])
if ARGV[5] == '1' then redis.call('HSET', KEYS[1], 'id', ARGV[3]) end
redis.call('PUBLISH', ARGV[2], ARGV[3])
return { 1, created }
`);

/**
 * Removes a user.
 *
 * KEYS   his hash
 * ARGV   the fence, the channel, his id
 * reply  1 if there was such a user, else 0; -1 if it came too late
 */
export const removeUser = script(`${fence}if late then return { -1 } end
local removed = redis.call('DEL', KEYS[1])
redis.call('PUBLISH', ARGV[2], ARGV[3])
return { removed }
`);
