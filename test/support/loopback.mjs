// Preloaded into a program: whatever port it asks for, it listens on a free one of the loopback, and says which.
import { Server } from 'node:net';

const { listen } = Server.prototype;
Server.prototype.listen = function (...args) {
  const callback = args.find((arg) => typeof arg === 'function');
  this.once('listening', () => console.log(`port ${this.address().port}`));
  return listen.call(this, { port: 0, host: '127.0.0.1' }, callback);
};
