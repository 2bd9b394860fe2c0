// Which keys do the contenders decide on? The same ones, in the same order, for each.

/** The `i`th of up to 2^24 addresses, in one piece as it comes from a socket and not as the parts it was made of. */
export function keyAt(i: number): string {
  const key = `ip:10.${(i >>> 16) & 255}.${(i >>> 8) & 255}.${i & 255}`;
  return Buffer.from(key, 'latin1').toString('latin1');
}

/** Numbers below `count`, evenly at random, and the same ones in every process. */
export function picks(count: number, length: number): Uint32Array {
  let state = 0x9e3779b9;
  return Uint32Array.from({ length }, () => {
    // xorshift32: G. Marsaglia, "Xorshift RNGs" (2003).
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % count;
  });
}
