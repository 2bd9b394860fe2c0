// How much processor time has the main thread taken? That of the collector's helpers, and what others take, is not in it.
import { openSync, readSync } from 'node:fs';

const schedule = openSchedule();
const bytes = Buffer.alloc(128);

/** Milliseconds; of the whole process, where the system does not tell of a thread. */
export function threadTime(): number {
  if (schedule === undefined) {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1_000;
  }
  const length = readSync(schedule, bytes, 0, bytes.length, 0);
  return Number.parseInt(bytes.toString('latin1', 0, length), 10) / 1e6;
}

/** Linux says in a file for how many nanoseconds a thread has run; the main one has the number of the process. */
function openSchedule(): number | undefined {
  try {
    return openSync(`/proc/self/task/${process.pid}/schedstat`, 'r');
  } catch {
    return undefined;
  }
}
