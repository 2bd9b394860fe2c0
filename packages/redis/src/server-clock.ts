/** Microseconds after which what was learned of the server's clock is learned anew, since clocks drift. */
const period = 10_000_000;

/**
 * A ServerClock knows how far a server's clock is ahead of this process's, never less than it is: the time that a reply
 * tells lies between the sending of its call and its arrival. Of what replies say, the least is the closest to the truth.
 */
export class ServerClock {
  #ahead: number | undefined;
  #aheadBefore = Number.POSITIVE_INFINITY;
  #since = 0;

  /** A reply says that it was `time` on the server, to a call that was sent at `sent`; microseconds. */
  learn(time: number, sent: number): void {
    const ahead = time - sent;
    if (this.#ahead === undefined || sent - this.#since > period) {
      this.#aheadBefore = this.#ahead ?? ahead;
      this.#ahead = ahead;
      this.#since = sent;
    } else if (ahead < this.#ahead) this.#ahead = ahead;
  }

  /** A call came too late by the server's clock: it was set, or it is another server's. */
  forget(): void {
    this.#ahead = undefined;
    this.#aheadBefore = Number.POSITIVE_INFINITY;
  }

  /** The time of the server when it is `now` here, at the latest; 0 where nothing is known of it. */
  at(now: number): number {
    return this.#ahead === undefined ? 0 : now + Math.min(this.#ahead, this.#aheadBefore);
  }
}
