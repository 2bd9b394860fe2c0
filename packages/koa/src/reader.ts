import { createHmac, hash } from 'node:crypto';
import type { Reader } from '@sluice/core';
import type { DefaultContext, DefaultState, ParameterizedContext } from 'koa';

export type Context = ParameterizedContext<DefaultState, DefaultContext>;

/** Reads Koa's contexts. */
export const reader: Reader<Context> = {
  ip: (ctx) => ctx.ip,
  peer: (ctx) => ctx.req.socket.remoteAddress,
  header: (ctx, name) => ctx.headers[name],
  method: (ctx) => ctx.method,
  // What has been rewritten is routed as it is now; only koa-mount takes a prefix away that rules do name.
  target: (ctx) => (ctx.mountPath === undefined ? ctx.url : wholeTarget(ctx)),
  // Where @koa/router says which of its patterns has matched.
  route: (ctx) => (typeof ctx._matchedRoute === 'string' ? wholeRoute(ctx, ctx._matchedRoute) : undefined),
  user: (ctx) => ctx.state.user,
  earlier: (ctx) => ctx.state.rateLimit,
  proxies: {
    // Without a count of proxies, Koa takes the first address in the header, which is the client's to write.
    trust: ({ app }) => (!app.proxy ? 'nobody' : app.maxIpsCount > 0 ? 'some' : 'anyone'),
    forwarded: (ctx) => ctx.headers[lowerCase(ctx.app.proxyIpHeader)],
    remedy: 'Give Koa the number of your proxies: new Koa({ proxy: true, maxIpsCount: 1 }).',
  },
  digest: (text) => hash('sha256', text, 'base64url').slice(0, 22),
  sign: (secret, text) => createHmac('sha256', secret).update(text).digest().subarray(0, 16).toString('base64'),
  warn: (message) => process.emitWarning(message, { code: 'SLUICE_WARNING' }),
};

/** Koa's own default is asked for with every request. */
function lowerCase(name: string): string {
  return name === 'X-Forwarded-For' ? 'x-forwarded-for' : name.toLowerCase();
}

/**
 * The whole target below a mount, or behind one. As koa-mount does not tell of the mounts around it, that is what the
 * client sent, unless the path was rewritten in between.
 */
function wholeTarget({ request, mountPath, path, url, originalUrl }: Context): string {
  if (url === originalUrl) return url;
  // Koa's own reading of it.
  const original: string = Object.create(request, { req: { value: { url: originalUrl } } }).path ?? '';
  const prefix: string = mountPath.endsWith('/') ? mountPath.slice(0, -1) : mountPath;
  const whole = prefix + (path.startsWith('/') ? path : `/${path}`);
  if (original === path || original.endsWith(whole) || (path === '/' && original.endsWith(prefix))) return originalUrl;
  // Behind the mount, the path is whole again.
  return path.startsWith(`${prefix}/`) ? path : whole;
}

/** The pattern by which a router has matched, with what koa-mount has taken away in front; `undefined` if none can tell. */
function wholeRoute({ mountPath, url, originalUrl }: Context, route: string): string | undefined {
  if (mountPath === undefined || url === originalUrl) return route;
  return originalUrl.endsWith(url) ? originalUrl.slice(0, -url.length) + route : undefined;
}
