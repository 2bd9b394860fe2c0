import type { Cells } from '../algorithms/cells.js';
import { algorithmOf } from '../algorithms/index.js';
import type { CompiledPolicy } from '../policy.js';
import { BOXED, shapeNumbers } from './row.js';

/** A Shape is what the states of some rows have in common: their policy, as far as a state does not say it. */
export interface Shape {
  readonly owner: number;
  readonly policy: CompiledPolicy;
  /** Absent where states of that algorithm do not fit into rows. */
  readonly cells: Cells<unknown> | undefined;
  /** What rows call it; BOXED while there are none. */
  number: number;
  rows: number;
}

/** Shapes numbers the shapes that occur in rows. */
export class Shapes {
  #byNumber: (Shape | undefined)[] = [undefined];
  #free: number[] = [];
  /** Those of policies that take turns, so that each finds its own again. */
  readonly #known = new WeakMap<CompiledPolicy, Shape>();

  /** The shape of what the policy writes, which is `last` where that says the same. */
  of(owner: number, policy: CompiledPolicy, last?: Shape): Shape {
    if (last !== undefined && isAlike(last.policy, policy)) return last;
    let shape = this.#known.get(policy);
    if (shape === undefined) {
      shape = { owner, policy, cells: algorithmOf(policy.algorithm).cells, number: BOXED, rows: 0 };
      this.#known.set(policy, shape);
    }
    return shape;
  }

  at(number: number): Shape {
    return this.#byNumber[number]!;
  }

  /** Counts one more row of a shape; whether there is a number for it. */
  retain(shape: Shape): boolean {
    if (shape.rows === 0) {
      const number = this.#free.pop() ?? this.#byNumber.length;
      if (number >= shapeNumbers) return false;
      shape.number = number;
      this.#byNumber[number] = shape;
    }
    shape.rows++;
    return true;
  }

  /** Counts no rows of any shape any more. */
  clear(): void {
    for (const shape of this.#byNumber) {
      if (shape !== undefined) Object.assign(shape, { number: BOXED, rows: 0 });
    }
    this.#byNumber = [undefined];
    this.#free = [];
  }

  release(shape: Shape): void {
    if (--shape.rows > 0) return;
    this.#byNumber[shape.number] = undefined;
    this.#free.push(shape.number);
    shape.number = BOXED;
  }
}

/** Whether the states of two policies of one id have the same shape. */
function isAlike(a: CompiledPolicy, b: CompiledPolicy): boolean {
  return (
    a.window === b.window &&
    a.tick === b.tick &&
    a.unit === b.unit &&
    a.rate === b.rate &&
    a.penalty?.memory === b.penalty?.memory
  );
}
