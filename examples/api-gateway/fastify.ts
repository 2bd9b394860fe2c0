import { rateLimit } from '@sluice/fastify';
import Fastify from 'fastify';
import { limits } from './limits.js';

const app = Fastify();
app.register(rateLimit, limits);

app.post('/login', () => ({ token: 'secret' }));
app.get('/search', () => ({ hits: [] }));
app.post('/upload', (_, reply) => reply.code(201).send());
app.get('/reports/:year', ({ params }) => params);
app.get('/health', () => ({ ok: true }));

const url = await app.listen({ port: Number(process.env.PORT ?? 0), host: '127.0.0.1' });
console.log(`Listening on ${url}/\n\n  curl -i '${url}/search'\n  curl -i -X POST '${url}/login?n=[1-6]'`);
