/**
 * Finds out whether the server takes writes again.
 *
 * KEYS   a key that nothing else uses
 * ARGV   the fence
 * reply  the time, and 1
 */
export const probe = `
redis.call('SET', KEYS[1], 1, 'PX', 1000)
return { now, 1 }
`;
