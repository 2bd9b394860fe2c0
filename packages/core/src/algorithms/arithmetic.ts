/**
 * The largest product that the algorithms form. Up to here the quotient of two integers, rounded to a double and then
 * down, is the exact floor: a quotient just below an integer n lies at least one spacing of doubles away from n.
 */
export const largestProduct = 2 ** 52;

export function floorDiv(a: number, b: number): number {
  return Math.floor(a / b);
}

/** Exact for a ≤ 2^52, as is {@link floorDiv}. */
export function ceilDiv(a: number, b: number): number {
  return Math.ceil(a / b);
}

/** As `%`, which the machine has no instruction for where numbers are that large. */
export function remainder(a: number, b: number): number {
  return a <= largestProduct ? a - Math.floor(a / b) * b : a % b;
}

export function gcd(a: number, b: number): number {
  while (b !== 0) [a, b] = [b, a % b];
  return a;
}
