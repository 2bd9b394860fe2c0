/** Microseconds after which what was learned of a server is learned anew, since clocks drift and ways change. */
const period = 10_000_000;

/**
 * A ServerTime knows how far a server's clock is ahead of this process's, never less than it is: the time that a reply
 * tells lies between the sending of its call and its arrival. Of what replies say, the least is the closest to the truth.
 * Before the first reply, clocks are taken to agree.
 */
export class ServerTime {
  #ahead: number | undefined;
  #aheadBefore = Number.POSITIVE_INFINITY;
  #trip = Number.POSITIVE_INFINITY;
  #since = 0;

  /** A call that was sent at `sent` has been answered at `received`, when it had been `time` on the server; microseconds. */
  learn(time: number, sent: number, received: number): void {
    const ahead = time - sent;
    if (this.#ahead === undefined || sent - this.#since > period) {
      this.#aheadBefore = this.#ahead ?? ahead;
      this.#ahead = ahead;
      this.#trip = received - sent;
      this.#since = sent;
      return;
    }
    if (ahead < this.#ahead) this.#ahead = ahead;
    if (received - sent < this.#trip) this.#trip = received - sent;
  }

  /** A call came too late by the server's clock, in time by ours: it was set, or it is another server's. */
  forget(): void {
    this.#ahead = undefined;
    this.#aheadBefore = Number.POSITIVE_INFINITY;
  }

  /** The time of the server when it is `now` here, at the latest. */
  at(now: number): number {
    return this.#ahead === undefined ? now : now + Math.min(this.#ahead, this.#aheadBefore);
  }

  /** How long a call and its answer take, at the least; infinite before the first. */
  get trip(): number {
    return this.#trip;
  }
}
