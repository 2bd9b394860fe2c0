import type { Algorithm } from '../algorithms/algorithm.js';
import { algorithmOf } from '../algorithms/index.js';
import type { CompiledPolicy } from '../policy.js';
import type { Shape, Shapes } from './shapes.js';

/** An Owner is whom states belong to: a policy by its id, whatever its numbers are. */
export interface Owner {
  /** Hashed with each key, so that it must stay the same. */
  readonly number: number;
  /** The latest one of that id. */
  policy: CompiledPolicy;
  algorithm: Algorithm<unknown>;
  /** That of the states it writes. */
  shape: Shape;
}

/** Owners numbers the policies seen, by their ids. */
export class Owners {
  readonly #byId = new Map<string, Owner>();
  readonly #all: Owner[] = [];
  readonly #shapes: Shapes;
  #last: Owner | undefined;

  constructor(shapes: Shapes, policies: readonly CompiledPolicy[] = []) {
    this.#shapes = shapes;
    for (const policy of policies) this.of(policy);
  }

  get policies(): readonly CompiledPolicy[] {
    return this.#all.map(({ policy }) => policy);
  }

  at(number: number): Owner {
    return this.#all[number]!;
  }

  of(policy: CompiledPolicy): Owner {
    if (this.#last?.policy === policy) return this.#last;
    let owner = this.#byId.get(policy.id);
    if (owner === undefined) {
      const number = this.#all.length;
      owner = { number, policy, algorithm: algorithmOf(policy.algorithm), shape: this.#shapes.of(number, policy) };
      this.#byId.set(policy.id, owner);
      this.#all.push(owner);
    } else if (owner.policy !== policy) {
      owner.policy = policy;
      owner.shape = this.#shapes.of(owner.number, policy, owner.shape);
    }
    this.#last = owner;
    return owner;
  }
}
