import { adapterSuite } from '@sluice/testing';
import type { Request } from 'express';
import express5 from 'express';
import express4 from 'express4';
import { describe, test } from 'vitest';
import { serveWith } from './app.ts';

const header = (req: Request, name: string) => req.get(name);

describe('Express 5', () => adapterSuite<Request>(test, { serve: serveWith(express5), header }));
describe('Express 4', () => adapterSuite<Request>(test, { serve: serveWith(express4), header }));
