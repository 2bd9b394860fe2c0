import { createHmac } from 'node:crypto';
import type { Reader } from '@sluice/core';
import { digest } from '../digest.js';
import type { Check } from './check.js';

/** Reads checks as requests, for core. `warn` tells the operator something. */
export function createReader(warn: (message: string) => void): Reader<Check> {
  return {
    ip: (check) => check.ip,
    peer: (check) => check.ip,
    header: () => undefined,
    // A request of no method is none that a rule for some methods is about.
    method: (check) => check.method ?? '',
    target: (check) => check.endpoint ?? '/',
    route: () => undefined,
    user: (check) => check.userId,
    vouches: (check) => check.ip === undefined,
    earlier: () => undefined,
    proxies: { trust: () => 'nobody', forwarded: () => undefined, remedy: '' },
    digest,
    sign: (secret, text) => createHmac('sha256', secret).update(text).digest().subarray(0, 16).toString('base64'),
    warn,
  };
}
