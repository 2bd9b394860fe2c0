import type { Question } from './question.js';

/** Keys in one script at the most: a server that runs it does nothing else for less than a millisecond. */
export const mostKeys = 64;

/** A Call asks a server one question: all that it asks for is done in one step, or nothing. */
export interface Call {
  readonly question: Question;
  readonly keys: readonly string[];
  /** Name of the server: the servers of a cluster have clocks of their own. */
  readonly server: string;
  /** The same for calls that one script can answer together. */
  readonly part: number;
  /** Microseconds of this process's clock, until when somebody waits for the answer. */
  readonly until: number;
  /** Takes the reply: the first number is the time, and `at` that of the first which answers this call. */
  resolve(reply: readonly number[], at: number): void;
  reject(error: unknown): void;
}
