// How much is measured: by default, with --quick, and with --smoke, which only shows that everything runs?
import type { Draw } from './keys.js';

export interface Size {
  /** Whether every contender has a process of its own; where nothing is compared, one for all is quicker. */
  readonly isolated: boolean;
  /** Interleaved rounds; the median of them counts. */
  readonly rounds: number;
  readonly decisions: {
    readonly draws: readonly Draw[];
    readonly perRound: number;
  };
  readonly memory: { readonly keys: number };
  readonly pauses: { readonly keys: number; readonly windowMs: number };
  readonly rules: { readonly few: number; readonly many: number; readonly requests: number };
  readonly redis: { readonly keys: number; readonly decisions: number; readonly rounds: number };
  readonly deny: {
    readonly keys: number;
    readonly remembered: number;
    readonly asked: number;
    readonly rounds: number;
  };
  readonly http: { readonly requests: number; readonly rounds: number };
  readonly service: {
    readonly users: number;
    readonly requests: number;
    readonly batches: number;
    readonly connections: readonly number[];
    readonly rounds: number;
  };
  readonly fleet: {
    readonly processes: number;
    readonly users: number;
    readonly seconds: number;
    readonly atATime: number;
    readonly rounds: number;
  };
}

export const sizes = {
  full: {
    isolated: true,
    rounds: 5,
    decisions: { draws: [{ keys: 1 }, { keys: 10_000, zipf: true }, { keys: 1_000_000 }], perRound: 200_000 },
    memory: { keys: 1_000_000 },
    pauses: { keys: 1_000_000, windowMs: 10_000 },
    rules: { few: 10, many: 10_000, requests: 200_000 },
    redis: { keys: 100_000, decisions: 20_000, rounds: 9 },
    deny: { keys: 1_000, remembered: 2_000_000, asked: 50_000, rounds: 7 },
    http: { requests: 4_000, rounds: 5 },
    service: { users: 10_000, requests: 10_000, batches: 30, connections: [1, 32], rounds: 7 },
    fleet: { processes: 4, users: 100_000, seconds: 3, atATime: 256, rounds: 3 },
  },
  quick: {
    isolated: true,
    rounds: 3,
    decisions: { draws: [{ keys: 1 }, { keys: 10_000, zipf: true }, { keys: 1_000_000 }], perRound: 100_000 },
    memory: { keys: 200_000 },
    pauses: { keys: 200_000, windowMs: 1_000 },
    rules: { few: 10, many: 10_000, requests: 100_000 },
    redis: { keys: 100_000, decisions: 10_000, rounds: 5 },
    deny: { keys: 1_000, remembered: 1_000_000, asked: 20_000, rounds: 5 },
    http: { requests: 2_000, rounds: 3 },
    service: { users: 10_000, requests: 4_000, batches: 10, connections: [1, 32], rounds: 3 },
    fleet: { processes: 2, users: 20_000, seconds: 2, atATime: 256, rounds: 1 },
  },
  smoke: {
    isolated: false,
    rounds: 1,
    decisions: { draws: [{ keys: 1 }, { keys: 100, zipf: true }], perRound: 500 },
    memory: { keys: 1_000 },
    pauses: { keys: 1_000, windowMs: 20 },
    rules: { few: 10, many: 100, requests: 2_000 },
    redis: { keys: 100, decisions: 400, rounds: 1 },
    deny: { keys: 20, remembered: 1_000, asked: 200, rounds: 1 },
    http: { requests: 100, rounds: 1 },
    service: { users: 1_000, requests: 50, batches: 1, connections: [1, 4], rounds: 1 },
    fleet: { processes: 2, users: 100, seconds: 0.1, atATime: 16, rounds: 1 },
  },
} as const satisfies Record<string, Size>;
