import { banCases } from './adapter/ban-cases.js';
import { callbackCases } from './adapter/callback-cases.js';
import { concurrencyCases } from './adapter/concurrency-cases.js';
import { controlCases } from './adapter/control-cases.js';
import { draftHeaderCases } from './adapter/draft-header-cases.js';
import { dynamicCases } from './adapter/dynamic-cases.js';
import { explainCases } from './adapter/explain-cases.js';
import { headerCases } from './adapter/header-cases.js';
import { identityCases } from './adapter/identity-cases.js';
import { limitCases } from './adapter/limit-cases.js';
import { listCases } from './adapter/list-cases.js';
import { namingCases } from './adapter/naming-cases.js';
import { observerCases } from './adapter/observer-cases.js';
import { overrideCases } from './adapter/override-cases.js';
import { penaltyCases } from './adapter/penalty-cases.js';
import { phaseCases } from './adapter/phase-cases.js';
import { priorityCases } from './adapter/priority-cases.js';
import { proxyCases } from './adapter/proxy-cases.js';
import { refundCases } from './adapter/refund-cases.js';
import { refusalCases } from './adapter/refusal-cases.js';
import { responseCases } from './adapter/response-cases.js';
import { ruleCases } from './adapter/rule-cases.js';
import { ruleLimitCases } from './adapter/rule-limit-cases.js';
import { ruleListCases } from './adapter/rule-list-cases.js';
import { ruleModeCases } from './adapter/rule-mode-cases.js';
import { type Bench, Scene } from './adapter/scene.js';
import type { AppSetup, BuiltApp } from './adapter/setup.js';
import { shadowCases } from './adapter/shadow-cases.js';
import { shapingCases } from './adapter/shaping-cases.js';
import { storeErrorCases } from './adapter/store-error-cases.js';
import { tierCases } from './adapter/tier-cases.js';
import { declareCases, type SuiteCase, type TestFunction } from './suite.js';

/** What the suite has to know about an adapter; `R` is the framework's own request. */
export interface AdapterSuiteOptions<R> {
  /** Builds the app that the setup describes. The suite listens, on 127.0.0.1 or a Unix socket, and closes. */
  serve(setup: AppSetup<R>): BuiltApp | PromiseLike<BuiltApp>;
  /** A header of a request, by its lower-case name, as a callback of the limiter is given the request. */
  header(request: R, name: string): string | undefined;
  /** Cases that the adapter does not meet, by title, each with the reason. */
  skip?: Readonly<Record<string, string>>;
}

/**
 * Declares the cases that every adapter must pass, as tests of whatever runner `test` is of: the same behaviour over
 * real HTTP, whatever the framework.
 *
 * ```ts
 * import { test } from 'node:test';
 * adapterSuite<Request>(test, { serve: (setup) => buildMyApp(setup), header: (req, name) => req.get(name) });
 * ```
 *
 * A case that is left out is never silent: it appears among the tests with the reason behind its title.
 * @throws Error for a `skip` that names no case, or gives no reason.
 */
export function adapterSuite<R>(test: TestFunction, { serve, header, skip = {} }: AdapterSuiteOptions<R>): void {
  const cases: SuiteCase[] = [];
  for (const declare of [
    limitCases,
    headerCases,
    refusalCases,
    callbackCases,
    identityCases,
    namingCases,
    proxyCases,
    shapingCases,
    refundCases,
    penaltyCases,
    banCases,
    shadowCases,
    concurrencyCases,
    draftHeaderCases,
    responseCases,
    dynamicCases,
    storeErrorCases,
    observerCases,
    ruleCases,
    ruleLimitCases,
    ruleModeCases,
    priorityCases,
    ruleListCases,
    phaseCases,
    explainCases,
    controlCases,
    listCases,
    overrideCases,
    tierCases,
  ]) {
    declare<R>((title, run) => void cases.push({ title, run: () => runCase(run, serve, header) }));
  }
  declareCases('adapterSuite', test, cases, skip);
}

async function runCase<R>(
  run: (bench: Bench<R>) => Promise<void>,
  serve: AdapterSuiteOptions<R>['serve'],
  header: Bench<R>['header'],
): Promise<void> {
  const scenes: Scene[] = [];
  const start: Bench<R>['start'] = async (setup) => {
    const scene = await Scene.start(serve, setup);
    scenes.push(scene);
    return scene;
  };
  try {
    await run({ start, header });
  } finally {
    for (const scene of scenes) await scene.close();
  }
}
