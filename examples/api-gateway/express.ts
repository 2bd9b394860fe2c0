import type { AddressInfo } from 'node:net';
import { rateLimit } from '@sluice/express';
import express from 'express';
import { limits } from './limits.js';

const app = express();
app.use(rateLimit(limits));

app.post('/login', (_, res) => void res.json({ token: 'secret' }));
app.get('/search', (_, res) => void res.json({ hits: [] }));
app.post('/upload', (_, res) => void res.status(201).end());
app.get('/reports/:year', (req, res) => void res.json({ year: req.params.year }));
app.get('/health', (_, res) => void res.json({ ok: true }));

const server = app.listen(Number(process.env.PORT ?? 0), '127.0.0.1', () => {
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  console.log(`Listening on ${url}/\n\n  curl -i '${url}/search'\n  curl -i -X POST '${url}/login?n=[1-6]'`);
});
