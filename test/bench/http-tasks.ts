// How much processor time has one server used up to now?
import type { Tasks } from './child.js';
import { type Framework, start, type Variant } from './servers.js';

export interface Start {
  readonly framework: Framework;
  readonly variant: Variant;
}

export const tasks = (): Tasks => ({
  start: ({ framework, variant }: Start) => start(framework, variant),
  /** Microseconds, of all threads of the process. */
  usage: () => {
    const { user, system } = process.cpuUsage();
    return user + system;
  },
});
