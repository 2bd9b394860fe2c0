import {
  MemoryStore,
  type Pipeline,
  type RateLimitOptions,
  type RequestDecision,
  type Verdict,
} from '../../src/index.ts';
import { type FakeRequest, reader as plainReader } from './exchange.ts';

/** A request on which limiters leave their decision, as adapters have it. */
export interface SeenRequest extends FakeRequest {
  rateLimit?: RequestDecision;
}

export type SeenOptions = RateLimitOptions<SeenRequest>;

export const reader = { ...plainReader, earlier: (request: SeenRequest) => request.rateLimit };

type Listener = () => void;

/** A response that is finished, or left, when a test says so. */
export class FakeResponse {
  statusCode = 200;
  destroyed = false;
  writableEnded = false;
  readonly #listeners: [string, Listener][] = [];

  once(event: string, listener: Listener): void {
    this.#listeners.push([event, listener]);
  }

  removeListener(event: string, listener: Listener): void {
    const found = this.#listeners.findIndex(([name, other]) => name === event && other === listener);
    if (found >= 0) this.#listeners.splice(found, 1);
  }

  getHeader(): undefined {}
  setHeader(): void {}

  finish(status = 200): void {
    this.statusCode = status;
    this.writableEnded = true;
    this.#emit('finish');
    this.close();
  }

  close(): void {
    this.destroyed = true;
    this.#emit('close');
  }

  #emit(event: string): void {
    const due = this.#listeners.filter(([name]) => name === event);
    for (const [name, listener] of due) {
      this.removeListener(name, listener);
      listener();
    }
  }
}

/** Sends a request through limiters that stand one behind the other, until one of them does not let it on. */
export async function send(
  pipelines: readonly Pipeline<SeenRequest>[],
  request: SeenRequest,
  response = new FakeResponse(),
): Promise<Verdict> {
  let last: Verdict = { action: 'skip' };
  for (const pipeline of pipelines) {
    const verdict = await pipeline.handle(request, response, response);
    if (verdict.action !== 'skip') last = verdict;
    if (verdict.action === 'pass') request.rateLimit = verdict.decision;
    if (verdict.action !== 'pass' && verdict.action !== 'skip') break;
  }
  return last;
}

export type Failing = 'consume' | 'release';

/** A memory store that fails while, and with what, a test says; `asked` counts what it was asked for. */
export class FailingStore extends MemoryStore {
  readonly asked = { consume: 0, release: 0 };
  /** Says whether a call fails. */
  fails: (call: Failing, charges: Parameters<MemoryStore['consume']>[0]) => boolean = () => false;
  /** How it fails. */
  fail: () => never = () => {
    throw new Error('down');
  };

  override consume(charges: Parameters<MemoryStore['consume']>[0]): ReturnType<MemoryStore['consume']> {
    this.asked.consume++;
    return this.fails('consume', charges) ? this.fail() : super.consume(charges);
  }

  override release(charges: Parameters<MemoryStore['release']>[0]): ReturnType<MemoryStore['release']> {
    this.asked.release++;
    return this.fails('release', charges) ? this.fail() : super.release(charges);
  }
}

/** The two ways in which a store fails. */
export const failures = [
  [
    'throws',
    (): never => {
      throw new Error('down');
    },
  ],
  ['rejects', () => Promise.reject(new Error('down')) as never],
] as const;

/** Runs something, and answers with the rejections that nobody has handled meanwhile. */
export async function unhandledDuring(run: () => unknown): Promise<unknown[]> {
  const unhandled: unknown[] = [];
  const note = (reason: unknown) => void unhandled.push(reason);
  process.on('unhandledRejection', note);
  try {
    await run();
    // Node tells of them when the microtasks are through.
    await turn();
    await turn();
  } finally {
    process.off('unhandledRejection', note);
  }
  return unhandled;
}

export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
