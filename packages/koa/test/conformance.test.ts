import { adapterSuite } from '@sluice/testing';
import type { Context } from 'koa';
import koa3 from 'koa';
import koa2 from 'koa2';
import { describe, test } from 'vitest';
import { serveWith } from './app.ts';

const header = (ctx: Context, name: string) => ctx.get(name);

describe('Koa 3', () => adapterSuite<Context>(test, { serve: serveWith(koa3), header }));
describe('Koa 2', () => adapterSuite<Context>(test, { serve: serveWith(koa2), header }));
