import { SluiceError, show } from '../errors.js';
import type { MaybePromise } from '../maybe-promise.js';
import { checkNames, checkType } from '../options.js';
import type { TrustedProxies } from './trusted-proxies.js';

/** How clients are told apart; `R` is the framework's own request. */
export interface IdentityOptions<R> {
  /**
   * The header that carries an API key, or a function that finds it at once; `false` looks for none.
   * @default 'x-api-key'
   */
  apiKey?: string | false | ((request: R) => string | undefined);
  /**
   * Says whether an API key is one of yours. A key that is not counts as absent; one that is has no ceiling. It is
   * asked for each request with a key, before anything is counted: let it remember its answers, and set a limit
   * `beforeAuth`.
   */
  verifyApiKey?: (apiKey: string, request: R) => MaybePromise<unknown>;
  /**
   * Finds the user at once: an id, or an object with an `id` or `sub`; `undefined` where there is none.
   * @default where the framework keeps its user
   */
  user?: (request: R) => unknown;
  /** How many leading bits of an IPv6 address make one client: 32 to 128. @default 64 */
  ipv6Prefix?: number;
  /**
   * Identities that a client can change at will also count together, at this many times the limit: unverified API keys
   * per address, IPv6 networks per /48. `false` lets them multiply. @default 10
   */
  ceiling?: number | false;
  /**
   * Your proxies: how many there are, or their addresses. `X-Forwarded-For` and `Forwarded` are then read here, from
   * the right; `[]` trusts nobody. @default the framework's own setting
   */
  trustedProxies?: TrustedProxies;
}

/** @throws SluiceError for what cannot work, with the remedy. */
export function checkIdentity<R>(options: IdentityOptions<R>): void {
  checkNames(options, ['apiKey', 'verifyApiKey', 'user', 'ipv6Prefix', 'ceiling', 'trustedProxies'], 'identity');
  checkType(options, 'verifyApiKey', 'function', 'identity');
  checkType(options, 'user', 'function', 'identity');
  const { apiKey, ipv6Prefix, ceiling } = options;
  if (apiKey !== undefined && apiKey !== false && typeof apiKey !== 'function' && !isHeaderName(apiKey)) {
    throw new SluiceError(
      'INVALID_OPTION',
      `identity: 'apiKey' must be the name of a header, a function of the request, or false; got ${show(apiKey)}.`,
    );
  }
  if (apiKey === false && options.verifyApiKey !== undefined) {
    throw new SluiceError(
      'INVALID_OPTION',
      "identity: 'verifyApiKey' would never be asked, since 'apiKey: false' looks for no key. Leave out one of the two.",
    );
  }
  if (ipv6Prefix !== undefined && (!Number.isInteger(ipv6Prefix) || ipv6Prefix < 32 || ipv6Prefix > 128)) {
    throw new SluiceError(
      'INVALID_OPTION',
      `identity: 'ipv6Prefix' must be an integer from 32 to 128 bits; got ${show(ipv6Prefix)}.`,
    );
  }
  if (ceiling !== undefined && ceiling !== false && (!Number.isInteger(ceiling) || ceiling < 1)) {
    throw new SluiceError(
      'INVALID_OPTION',
      `identity: 'ceiling' must be an integer ≥ 1, or false; got ${show(ceiling)}.`,
    );
  }
}

function isHeaderName(name: unknown): boolean {
  return typeof name === 'string' && /^[!#$%&'*+.^_`|~\w-]+$/.test(name);
}
