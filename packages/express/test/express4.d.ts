/** Express 4, installed under another name, has no types of its own there. */
declare module 'express4' {
  import express from 'express';

  export default express;
}
