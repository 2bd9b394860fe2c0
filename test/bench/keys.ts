// Which keys do the contenders decide on? The same ones, in the same order, for each.

/** The `i`th of up to 2^24 addresses, in one piece as it comes from a socket and not as the parts it was made of. */
export function keyAt(i: number): string {
  const key = `ip:10.${(i >>> 16) & 255}.${(i >>> 8) & 255}.${i & 255}`;
  return Buffer.from(key, 'latin1').toString('latin1');
}

/** How often each key comes. */
export interface Draw {
  readonly keys: number;
  /** By Zipf's law: the nth most frequent comes 1/n as often as the most frequent. Else all come equally often. */
  readonly zipf?: boolean;
}

/** Numbers below `count`, evenly at random, and the same ones in every process. */
export function picks(count: number, length: number): Uint32Array {
  const random = generator();
  return Uint32Array.from({ length }, () => Math.floor(random() * count));
}

/** As `picks`, by Zipf's law. */
export function zipfPicks(keys: number, length: number): Uint32Array {
  const random = generator();
  const sums = new Float64Array(keys);
  let sum = 0;
  for (let i = 0; i < keys; i++) {
    sum += 1 / (i + 1);
    sums[i] = sum;
  }
  // Which keys are the frequent ones has nothing to do with their order.
  const ranks = Uint32Array.from({ length: keys }, (_, i) => i);
  for (let i = keys - 1; i > 0; i--) {
    const other = Math.floor(random() * (i + 1));
    [ranks[i], ranks[other]] = [ranks[other]!, ranks[i]!];
  }
  return Uint32Array.from({ length }, () => {
    const drawn = random() * sum;
    let low = 0;
    for (let high = keys - 1; low < high; ) {
      const middle = (low + high) >>> 1;
      if (sums[middle]! > drawn) high = middle;
      else low = middle + 1;
    }
    return ranks[low]!;
  });
}

/** Numbers from 0 to 1, never 1. */
function generator(): () => number {
  let state = 0x9e3779b9;
  return () => {
    // xorshift32: G. Marsaglia, "Xorshift RNGs" (2003).
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}
