/** Koa 2, installed under another name, has no types of its own there. */
declare module 'koa2' {
  import Koa from 'koa';

  export default Koa;
}
