import { rateLimit } from '@sluice/fastify';
import Fastify from 'fastify';

const app = Fastify();

// Everybody: 100 requests per minute, also on routes that do not exist.
app.register(rateLimit, { limit: 100, window: '1m' });

app.get('/', (request) => ({ hello: 'world', remaining: request.rateLimit?.remaining }));

// This route: 3 at once, one more every 20 seconds. Both count, and the headers tell of the tighter one.
const login = { config: { rateLimit: { limit: 3, window: '1m', algorithm: 'token-bucket' } } } as const;
app.post('/login', login, () => ({ token: 'secret' }));

// This one: no limit at all.
app.get('/health', { config: { rateLimit: false } }, () => 'ok');

const url = await app.listen({ port: Number(process.env.PORT ?? 0), host: '127.0.0.1' });
console.log(`Listening on ${url}/\n\n  curl -i ${url}/\n  curl -i -X POST '${url}/login?n=[1-4]'`);
