// How is a server given a fixed number of requests with as little noise as possible?
import { connect } from 'node:net';

const request = 'GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n';
const anyStart = Buffer.from('HTTP/1.1 ');
const goodStart = Buffer.from('HTTP/1.1 200');

/** Sends `requests` over a few connections, each with a few under way at a time; resolves when all are answered by 200. */
export async function load(port: number, requests: number, connections = 8, depth = 4): Promise<void> {
  const share = Math.floor(requests / connections);
  const rest = requests - share * connections;
  await Promise.all(Array.from({ length: connections }, (_, i) => converse(port, share + (i === 0 ? rest : 0), depth)));
}

function converse(port: number, requests: number, depth: number): Promise<void> {
  return new Promise((resolve, reject) => {
    let sent = 0;
    let answered = 0;
    let carried: Buffer = Buffer.alloc(0);
    const socket = connect({ port, host: '127.0.0.1', noDelay: true }, () => send(depth));
    const send = (most: number) => {
      const count = Math.min(most, requests - sent);
      if (count === 0) return;
      sent += count;
      socket.write(request.repeat(count));
    };
    socket.on('error', reject);
    socket.on('close', () => reject(new Error(`the server closed the connection after ${answered} answers`)));
    socket.on('data', (chunk: Buffer) => {
      const data = carried.length > 0 ? Buffer.concat([carried, chunk]) : chunk;
      let from = 0;
      let count = 0;
      for (let at = data.indexOf(anyStart); at >= 0; at = data.indexOf(anyStart, from)) {
        // A status line that is cut off in the middle waits for the rest of it.
        if (at + goodStart.length > data.length) break;
        if (data.compare(goodStart, 0, goodStart.length, at, at + goodStart.length) !== 0) {
          return socket.destroy(new Error(`the server answered ${data.toString('latin1', at, at + 12)}`));
        }
        count++;
        from = at + goodStart.length;
      }
      carried = data.subarray(Math.max(from, data.length - goodStart.length + 1));
      answered += count;
      if (answered === requests) {
        resolve();
        socket.destroy();
      } else send(count);
    });
  });
}
