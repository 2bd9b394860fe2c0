import type { Clock, Controls, Explanation } from '@sluice/core';
import type { FastifyRequest } from 'fastify';
import type { FastifyPipeline } from './hook.js';
import type { RouteLimits } from './route-limits.js';

/** What an operator can do with a plugin's limits, those of its routes and hooks among them. */
export function controlsOfAll(
  plugin: FastifyPipeline,
  own: RouteLimits,
  routes: RouteLimits,
  { global, clock }: { readonly global: boolean; readonly clock: Clock },
): Controls<FastifyRequest> {
  const all = () => [plugin, ...own.pipelines()];
  return {
    async get(key) {
      const states = (await Promise.all(all().map((one) => one.get(key)))).flat();
      // A ban is of the plugin and its routes, and routes of one group count together.
      return [...new Map(states.map((state) => [state.policy, state])).values()];
    },
    async reset(key) {
      for (const one of all()) await one.reset(key);
    },
    async explain(request) {
      const { routeOptions } = request;
      const explained = await plugin.explain(request);
      if (routeOptions?.config?.rateLimit === false) return exempt(explained, clock);
      const ofRoute = routeOptions && (await routes.of(routeOptions)?.explain(request));
      if (ofRoute === undefined) return explained;
      return global ? merge(explained, ofRoute) : ofRoute;
    },
    async close() {
      await plugin.close();
      await own.close();
    },
  };
}

const strictness: readonly Explanation['outcome'][] = [
  'skipped',
  'allow-listed',
  'unlimited',
  'allowed',
  'refused',
  'blocked',
];

/** Both decide on the request: the stricter of them says what it is told, and the later when it passes. */
function merge(plugin: Explanation, route: Explanation): Explanation {
  const [one, other] = [plugin, route].map(({ outcome }) => strictness.indexOf(outcome)) as [number, number];
  const stricter = other > one || (other === one && later(plugin, route) === route) ? route : plugin;
  const isKnown = ({ policy, key }: Explanation['policies'][number]) =>
    plugin.policies.some((known) => known.policy === policy && known.key === key);
  return {
    ...stricter,
    policies: [...plugin.policies, ...route.policies.filter((policy) => !isKnown(policy))],
    passesAt: later(plugin, route).passesAt,
  };
}

/** Which of the two lets the request pass later, or never; the first if they do at once. */
function later(one: Explanation, other: Explanation): Explanation {
  const at = ({ passesAt }: Explanation) => passesAt?.getTime() ?? Number.POSITIVE_INFINITY;
  return at(other) > at(one) ? other : one;
}

function exempt(explained: Explanation, clock: Clock): Explanation {
  return {
    ...explained,
    outcome: 'unlimited',
    entry: undefined,
    rule: undefined,
    policies: [],
    passesAt: new Date(Math.ceil(clock.now() / 1_000)),
    summary: 'The request is not limited: its route has rateLimit: false.',
  };
}
