/** A Ratio is a rate as a policy says it: `limit` units per `window` milliseconds. */
export interface Ratio {
  readonly limit: number;
  readonly window: number;
}

/** Units per window, of a policy. */
const largestLimit = 1_000_000_000n;
const second = 1_000n;
/** Parts of a rate of one per second, of which a whole number makes every rate with six decimals. */
const million = 1_000_000n;

/**
 * The ratio that is exactly a rate per second: of one second where that is possible, else of the fewest whole seconds,
 * else of the fewest milliseconds. `undefined` for a rate that is none: it is not above 0, has more than six decimals,
 * or more digits than a limit can hold. No such rate is rounded.
 */
export function ratioOf(rate: number): Ratio | undefined {
  const digits = /^(\d+)(?:\.(\d{1,6}))?$/.exec(String(rate));
  if (digits === null) return undefined;
  const millionths = BigInt(`${digits[1]}${(digits[2] ?? '').padEnd(6, '0')}`);
  if (millionths === 0n) return undefined;
  const perMillisecond = million * second;
  const divisor = gcd(millionths, perMillisecond);
  const limit = millionths / divisor;
  const window = perMillisecond / divisor;
  const times = second / gcd(second, window);
  if (limit * times <= largestLimit) return { limit: Number(limit * times), window: Number(window * times) };
  return limit <= largestLimit ? { limit: Number(limit), window: Number(window) } : undefined;
}

/** The rate per second that is exactly `limit` units per `window` milliseconds; `undefined` where six decimals do not hold it. */
export function rateOf({ limit, window }: Ratio): number | undefined {
  const parts = BigInt(limit) * million * second;
  if (parts % BigInt(window) !== 0n) return undefined;
  const digits = String(parts / BigInt(window)).padStart(7, '0');
  const text = `${digits.slice(0, -6)}.${digits.slice(-6)}`.replace(/\.?0+$/, '');
  return String(Number(text)) === text ? Number(text) : undefined;
}

/** A rate that is one, as close to this one as it can be. */
export function nearestRate(rate: number): number {
  const largest = Number(largestLimit * second);
  if (!(rate < largest)) return largest;
  for (const decimals of [6, 5, 4, 3, 2, 1, 0]) {
    const near = Number(rate.toFixed(decimals));
    if (near > 0 && ratioOf(near) !== undefined) return near;
  }
  // Nine digits always fit into a limit.
  return rate < 1 ? 0.000_001 : Number(rate.toPrecision(9));
}

function gcd(a: bigint, b: bigint): bigint {
  return b === 0n ? a : gcd(b, a % b);
}
