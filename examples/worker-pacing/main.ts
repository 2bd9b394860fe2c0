import { createLimiter } from '@sluice/core';

// A partner's API takes 5 calls per second, evenly spaced.
const limiter = createLimiter({ policies: '5/1s', algorithm: 'leaky-bucket' });
const started = performance.now();

async function call(job: number): Promise<void> {
  // Waits for its turn, first come first served. Who cannot have one within two seconds is told at once.
  await limiter.acquire('partner-api', { maxWait: 2_000 });
  console.log(`job ${job} after ${Math.round((performance.now() - started) / 100) / 10} s`);
}

const jobs = Array.from({ length: 12 }, (_, i) => call(i + 1));
for (const [i, result] of (await Promise.allSettled(jobs)).entries()) {
  if (result.status === 'rejected') console.log(`job ${i + 1} rejected: ${result.reason.message}`);
}
await limiter.close();
