/** Milliseconds between two ticks. */
const pace = 2;
/** Gaps that are remembered: longer than any wait that is asked for. */
const most = 5_000;

interface Gap {
  readonly from: number;
  readonly to: number;
  /** Milliseconds that the process was kept waiting by others. */
  readonly idle: number;
}

/**
 * A StallMeter tells how long the machine kept this process from running: what a timer was late, less the processor time
 * that the process used meanwhile. A store that holds up the event loop by its own work finds no excuse here.
 */
export class StallMeter {
  readonly #timer: NodeJS.Timeout;
  readonly #gaps: Gap[] = [];
  #last = performance.now();
  #used = usedTime();

  /** `onTick` is called every 2 ms, when the gap before it is known. */
  constructor(onTick: () => void = () => {}) {
    this.#timer = setInterval(() => {
      this.#measure();
      onTick();
    }, pace);
  }

  /** Milliseconds of an interval, of times of `performance.now()`, in which the process was kept waiting. */
  between(from: number, to: number): number {
    let stall = 0;
    for (let i = this.#gaps.length - 1; i >= 0 && this.#gaps[i]!.to > from; i--) {
      const gap = this.#gaps[i]!;
      stall += Math.max(0, Math.min(gap.idle, Math.min(to, gap.to) - Math.max(from, gap.from)));
    }
    return stall;
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #measure(): void {
    const now = performance.now();
    const used = usedTime();
    const idle = now - this.#last - pace - (used - this.#used);
    if (idle > 0) this.#gaps.push({ from: this.#last, to: now, idle });
    if (this.#gaps.length > most) this.#gaps.splice(0, most / 2);
    this.#last = now;
    this.#used = used;
  }
}

function usedTime(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000;
}
