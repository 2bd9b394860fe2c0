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

  /** Hashes `key` together with a number below 2^31; the result is in `low` and `high`. */
  hash(key: string, number: number): void {
    const k0 = this.#k0;
    const k1 = this.#k1;
    let v0 = k0;
    let v1 = k1 ^ 0xee;
    let v2 = 0x6c796765 ^ k0;
    let v3 = 0x74656462 ^ k1;

    // The number and whether the units are wide, four narrow units a word or two wide ones, and those left over with the
    // length: no two inputs give the same words.
    // The rounds are written out three times: as a function, one would have to hand four numbers back.
    const { length } = key;
    const last = length - (length & 3);
    let word = number << 1;
    for (let i = 0; ; i += 4) {
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
      if (i > last) break;

      let units: number;
      if (i < last) {
        const a = key.charCodeAt(i);
        const b = key.charCodeAt(i + 1);
        const c = key.charCodeAt(i + 2);
        const d = key.charCodeAt(i + 3);
        units = a | b | c | d;
        word = a | (b << 8) | (c << 16) | (d << 24);
      } else {
        const a = i < length ? key.charCodeAt(i) : 0;
        const b = i + 1 < length ? key.charCodeAt(i + 1) : 0;
        const c = i + 2 < length ? key.charCodeAt(i + 2) : 0;
        units = a | b | c;
        word = a | (b << 8) | (c << 16) | (length << 24);
      }
      if (units > 0xff) {
        this.#hashWide(key, number);
        return;
      }
    }
    this.#finish(v0, v1, v2, v3);
  }

  /** As above, for keys with a unit beyond 8 bits. */
  #hashWide(key: string, number: number): void {
    const k0 = this.#k0;
    const k1 = this.#k1;
    let v0 = k0;
    let v1 = k1 ^ 0xee;
    let v2 = 0x6c796765 ^ k0;
    let v3 = 0x74656462 ^ k1;

    const { length } = key;
    const last = length - (length & 1);
    let word = (number << 1) | 1;
    for (let i = 0; ; i += 2) {
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
      if (i > last) break;
      if (i < last) word = key.charCodeAt(i) | (key.charCodeAt(i + 1) << 16);
      else word = (i < length ? key.charCodeAt(i) : 0) | (length << 16);
    }
    this.#finish(v0, v1, v2, v3);
  }

  #finish(v0: number, v1: number, v2: number, v3: number): void {
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
