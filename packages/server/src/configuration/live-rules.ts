import type { Decider } from '../decisions/decider.js';
import { Problem } from '../problem.js';
import type {
  AuditEntry,
  Change,
  Configuration,
  ConfigurationStore,
  Expected,
  RecoverySource,
  RuleDocument,
  Written,
} from './configuration.js';
import type { LiveConfiguration } from './live.js';

/** LiveRules are the rules and lists in force, as the endpoints read and write them. */
export class LiveRules {
  readonly #live: LiveConfiguration;
  readonly #store: ConfigurationStore;
  readonly #decider: Decider;

  constructor(live: LiveConfiguration, store: ConfigurationStore, decider: Decider) {
    this.#live = live;
    this.#store = store;
    this.#decider = decider;
  }

  get current(): Configuration {
    return this.#live.current;
  }

  /** Why a rule that is written is not in force; `undefined` for one that is. */
  inactive(id: string): string | undefined {
    return this.#decider.inactive.get(id);
  }

  /** Why a rule cannot be written beside the others; `undefined` where it can. */
  rivalOf(rule: RuleDocument): string | undefined {
    return this.#decider.rivalOf(rule);
  }

  audit(limit: number, before?: number): Promise<readonly AuditEntry[]> {
    return this.#store.audit(limit, before);
  }

  /**
   * Ends a loss of writes, and resolves when what goes on is in force here.
   * @throws Problem 409 where nothing is lost. 503 where nothing could be written.
   */
  recover(from: RecoverySource, by: string): Promise<AuditEntry> {
    return this.#live.recover(from, by);
  }

  /**
   * Writes, and resolves when the change is in force here.
   * @throws Problem 409 for a rule that cannot stand beside one that another instance has written meanwhile: it is taken
   * back. 503 where nothing could be written.
   */
  async write(change: Change, by: string, expected: Expected): Promise<Written> {
    const written = await this.#live.write(change, by, expected);
    if (written.outcome === 'conflict' || change.kind !== 'rules' || change.value === null) return written;
    const reason = this.inactive(change.id);
    if (reason === undefined) return written;
    const { before, version } = written.entry;
    const value = before !== null && 'rule' in before ? before.rule : null;
    await this.#live.write({ kind: 'rules', id: change.id, value }, by, [version]);
    throw new Problem(409, 'Conflict', reason, [{ pointer: '/endpoint', detail: reason }]);
  }
}
