import type { AddressInfo } from 'node:net';
import { rateLimit } from '@sluice/express';
import express from 'express';

const app = express();

// Five requests at once, and one more every twelve seconds: small numbers, to see the limit.
app.use(rateLimit({ limit: 5, window: '1m', algorithm: 'token-bucket' }));

app.get('/', (req, res) => {
  res.json({ hello: 'world', remaining: req.rateLimit?.remaining });
});

// Without PORT, any free port will do.
const server = app.listen(Number(process.env.PORT ?? 0), '127.0.0.1', (error?: Error) => {
  if (error) throw error;
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  console.log(`Listening on ${url}

Try, in another terminal:

  curl -i ${url}
  curl -i '${url}?n=[1-2]'
  curl -i '${url}?n=[1-6]'

The last answer of the last line is a 429 that says when to come back. Ctrl+C ends the server.`);
});
