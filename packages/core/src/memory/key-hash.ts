declare const crypto: { getRandomValues(array: Uint32Array): Uint32Array };

/**
 * KeyHash is HalfSipHash-1-3 with 64 bits of output over the UTF-16 code units of a key, under a secret drawn at
 * random: whoever does not know the secret cannot choose keys that collide.
 *
 * Source: J.-P. Aumasson and D. J. Bernstein, "SipHash: a fast short-input PRF" (2012), and its 32-bit variant.
 */
export class KeyHash {
  readonly #k0: number;
  readonly #k1: number;
  /** The halves of the last hash, signed 32-bit integers. */
  low = 0;
  high = 0;

  constructor(secret: Uint32Array = crypto.getRandomValues(new Uint32Array(2))) {
    this.#k0 = secret[0]! | 0;
    this.#k1 = secret[1]! | 0;
  }

  get secret(): Uint32Array {
    return Uint32Array.of(this.#k0, this.#k1);
  }

  /** Hashes `key` together with a number; the result is in `low` and `high`. */
  hash(key: string, number: number): void {
    const k0 = this.#k0;
    const k1 = this.#k1;
    let v0 = k0;
    let v1 = k1 ^ 0xee;
    let v2 = 0x6c796765 ^ k0;
    let v3 = 0x74656462 ^ k1;

    const { length } = key;
    // Two code units a word, then the number, then the length, so that no two inputs give the same words.
    for (let i = -2; i <= length; i += 2) {
      let word: number;
      if (i < 0) word = number;
      else if (i + 1 < length) word = key.charCodeAt(i) | (key.charCodeAt(i + 1) << 16);
      else word = i < length ? key.charCodeAt(i) | (length << 16) : length << 16;
      v3 ^= word;
      v0 = (v0 + v1) | 0;
      v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
      v0 = (v0 << 16) | (v0 >>> 16);
      v2 = (v2 + v3) | 0;
      v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
      v0 = (v0 + v3) | 0;
      v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
      v2 = (v2 + v1) | 0;
      v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
      v2 = (v2 << 16) | (v2 >>> 16);
      v0 ^= word;
    }

    // The same round as above, written out: as a function it would have to hand four numbers back.
    v2 ^= 0xee;
    for (let round = 0; round < 6; round++) {
      if (round === 3) {
        this.low = v1 ^ v3;
        v1 ^= 0xdd;
      }
      v0 = (v0 + v1) | 0;
      v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
      v0 = (v0 << 16) | (v0 >>> 16);
      v2 = (v2 + v3) | 0;
      v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
      v0 = (v0 + v3) | 0;
      v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
      v2 = (v2 + v1) | 0;
      v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
      v2 = (v2 << 16) | (v2 >>> 16);
    }
    this.high = v1 ^ v3;
  }
}
