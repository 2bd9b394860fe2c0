import { keyNames } from '../digest.js';

/**
 * UserKeys names what Redis keeps of users: the set `prefix:users` of their names, a hash `prefix:users:{name}` for each,
 * and the channel on which changes are told. An id that is long, or has characters that could end the hash tag or puzzle
 * whoever reads it, is named by its digest.
 */
export class UserKeys {
  /** The names of all users. */
  readonly set: string;
  /** Each message is the id of a user who was changed. */
  readonly channel: string;
  readonly #hash: string;

  constructor(prefix: string) {
    this.set = `${prefix}:users`;
    this.channel = `${prefix}:{users}:changed`;
    this.#hash = `${prefix}:users:{`;
  }

  /** The hash of the user of this name. */
  hash(name: string): string {
    return `${this.#hash}${name}}`;
  }
}

/** What stands for an id in keys. No id is taken for a digest, which begins with `#`. */
export function nameOfUser(id: string): string {
  return keyNames.user(id).slice('user:'.length);
}
