import { adapterSuite } from '@sluice/testing';
import type { FastifyRequest } from 'fastify';
import { describe, test } from 'vitest';
import { serve } from './app.ts';

const header = (request: FastifyRequest, name: string) => request.headers[name] as string | undefined;

describe('Fastify 5', () => adapterSuite<FastifyRequest>(test, { serve, header }));
