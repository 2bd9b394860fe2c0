/**
 * Forgets keys.
 *
 * KEYS   what to forget
 * ARGV   the fence
 * reply  the time, and 1; the time alone if it came too late
 */
export const reset = `
redis.call('DEL', unpack(KEYS))
return { now, 1 }
`;
