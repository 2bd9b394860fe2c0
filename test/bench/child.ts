// How does a contender get a process of its own, so that nobody else's heap or compiled code is measured with it?
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';

/** What a contender can be asked to do: each module of tasks exports a function `tasks` that makes a set of them. */
export type Tasks = Readonly<Record<string, (input: never) => unknown>>;

export interface Question {
  readonly id: number;
  /** Which set of tasks of that module is asked. */
  readonly set: number;
  readonly module: string;
  readonly task: string;
  readonly input?: unknown;
}

export interface Answer {
  readonly id: number;
  readonly value?: unknown;
  readonly error?: string;
}

let last = 0;

class Child {
  readonly #process: ChildProcess;
  readonly #waiting = new Map<number, (answer: Answer) => void>();

  constructor() {
    // The flags of this process, with them the loader of TypeScript, come along.
    const main = new URL('./child-main.ts', import.meta.url);
    this.#process = fork(main, { stdio: ['ignore', 'ignore', 'pipe', 'ipc'] });
    let complaint = '';
    this.#process.stderr?.on('data', (chunk) => {
      complaint += chunk;
    });
    this.#process.on('message', (answer: Answer) => {
      this.#waiting.get(answer.id)?.(answer);
      this.#waiting.delete(answer.id);
    });
    this.#process.on('close', (code, signal) => {
      const error = complaint.trim() || `ended with ${signal ?? `code ${code}`}`;
      for (const [id, settle] of this.#waiting) settle({ id, error });
      this.#waiting.clear();
    });
  }

  async ask<T>(question: Omit<Question, 'id'>): Promise<T> {
    const id = ++last;
    const { value, error } = await new Promise<Answer>((resolve) => {
      if (!this.#process.connected) return resolve({ id, error: 'has ended' });
      this.#waiting.set(id, resolve);
      this.#process.send({ id, ...question });
    });
    if (error !== undefined) throw new Error(error);
    return value as T;
  }

  async stop(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const exited = once(this.#process, 'exit');
    this.#process.kill('SIGKILL');
    await exited;
  }
}

/** An Actor does the tasks of one module for one contender. */
export interface Actor {
  ask<T>(task: string, input?: unknown): Promise<T>;
  /** Ends its process, if that is its own. */
  leave(): Promise<void>;
}

/** Lets actors do their tasks, each in its own process if `isolated`, and ends all processes whatever happens. */
export async function withActors<T>(
  { isolated, module }: { isolated: boolean; module: string },
  use: (start: () => Actor) => Promise<T>,
): Promise<T> {
  const children: Child[] = [];
  const start = (): Actor => {
    if (isolated || children.length === 0) children.push(new Child());
    const child = children.at(-1)!;
    const set = ++last;
    return {
      ask: (task, input) => child.ask({ set, module, task, input }),
      leave: async () => (isolated ? child.stop() : undefined),
    };
  };
  try {
    return await use(start);
  } finally {
    await Promise.all(children.map((child) => child.stop()));
  }
}

/** Collects garbage until nothing more comes of it. */
export function collectGarbage(): void {
  if (globalThis.gc === undefined) throw new Error('run node with --expose-gc');
  for (let i = 0; i < 3; i++) globalThis.gc();
}
