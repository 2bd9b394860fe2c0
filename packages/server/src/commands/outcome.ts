/** Exit codes. */
export const [done, failed, wrongUsage] = [0, 1, 2];

/** Says something to whoever runs the command. */
export function say(line: string): void {
  process.stderr.write(`sluice: ${line}\n`);
}
