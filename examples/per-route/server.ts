import type { AddressInfo } from 'node:net';
import { rateLimit } from '@sluice/express';
import express from 'express';

const app = express();

// Everything: a burst limit and a daily one. Both grant, or none is charged.
app.use(rateLimit({ limits: ['20/1s', '10000/1d'] }));

// Guessing passwords: 3 per minute and address, whoever the request says it is from. Logins that succeed are free.
const guesses = rateLimit({
  limit: 3,
  window: '1m',
  algorithm: 'sliding-window-log',
  identity: { apiKey: false },
  skipSuccessful: true,
});
app.post('/login', guesses, (req, res) => {
  res.status(req.query.password === 'open sesame' ? 200 : 401).end();
});

// What a client sends becomes a whole number from 1 to 50.
const pagesOf = (text: unknown) => Math.min(50, Math.max(1, Math.trunc(Number(text)) || 1));

// Dear work: a request takes as many units as it asks for pages.
const pages = rateLimit({ limit: 50, window: '1h', cost: (req) => pagesOf(req.query.pages) });
app.get('/export', pages, (req, res) => {
  res.json({ pages: pagesOf(req.query.pages), remaining: req.rateLimit?.remaining });
});

const server = app.listen(Number(process.env.PORT ?? 0), '127.0.0.1', () => {
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  console.log(
    `Listening on ${url}/\n\n  curl -i -X POST '${url}/login?password=[1-4]'\n  curl -i '${url}/export?pages=20'`,
  );
});
