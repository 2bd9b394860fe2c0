#!/usr/bin/env node
import { basename, resolve } from 'node:path';
import { SluiceError } from '@sluice/core';
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import type { ClientKind } from './access-log.js';
import { InputError, readLog } from './log-reader.js';
import { play } from './player.js';
import { progressOn } from './progress.js';
import { jsonReport, textReport } from './report.js';
import { trialsOf } from './trial.js';

interface Flags {
  policy?: string[];
  algorithm?: string[];
  together?: boolean;
  by: ClientKind;
  top: number;
  json?: boolean;
}

const [done, unusableInput, wrongUsage] = [0, 1, 2];
/** What the middleware grants unless told otherwise. */
const defaultPolicy = '1000/1h';

const several = (value: string, values: string[] = []) => [...values, value];

const command = new Command('sluice-replay')
  .description('Plays an access log through rate limits, and shows which requests they would have refused.')
  .argument('[file]', 'log in Common or Combined Log Format, plain or gzipped; - or nothing reads standard input')
  .option(
    '-p, --policy <limit/window>',
    `a limit such as '60/1m' or '60/1m burst 20'; repeatable (default: '${defaultPolicy}')`,
    several,
  )
  .option(
    '-a, --algorithm <name>',
    'fixed-window, sliding-window-log, sliding-window-counter, token-bucket or leaky-bucket; repeatable',
    several,
  )
  .option('--together', 'apply all policies to each request, all or nothing, instead of comparing them')
  .addOption(
    new Option('--by <identity>', 'what makes a client; a user is one the log names')
      .choices(['ip', 'user'])
      .default('ip'),
  )
  .option('--top <n>', 'how many of the clients refused most to list', wholeNumber, 10)
  .option('--json', 'print JSON for programs')
  .addHelpText(
    'after',
    `
Every policy is judged by itself, with each algorithm given. IPv6 addresses count as one client per /64.

Examples:
  $ sluice-replay access.log.gz --policy 60/1m --policy 1000/1h
  $ sluice-replay access.log --policy 60/1m --algorithm token-bucket --algorithm sliding-window-counter
  $ zcat access.log.*.gz | sluice-replay --policy '5/1s burst 50' --json`,
  )
  .exitOverride();

function wholeNumber(value: string): number {
  if (/^\d{1,9}$/.test(value)) return Number(value);
  throw new InvalidArgumentError('It must be an integer ≥ 0.');
}

async function replay(file: string | undefined, flags: Flags): Promise<void> {
  if (file === undefined && process.stdin.isTTY) command.error('error: name a log file, or pipe a log in');
  const trials = trialsOf(flags.policy ?? [defaultPolicy], flags.algorithm, flags.together);
  const name = file === undefined || file === '-' ? 'standard input' : basename(file);
  const progress = progressOn(process.stderr);
  try {
    const log = await readLog(located(file), { by: flags.by, onProgress: (read, of) => progress.reading(read, of) });
    const requests = log.times.length;
    const playbacks = trials.map((trial, i) =>
      play(log, trial, (played) => progress.playing(i * requests + played, trials.length * requests)),
    );
    progress.stop();
    const report = flags.json ? jsonReport : textReport;
    process.stdout.write(report(log, playbacks, { name, top: flags.top }));
  } finally {
    progress.stop();
  }
}

/** Where the file is: a package manager that runs this command may have changed the folder. */
function located(file = '-'): string {
  return file === '-' ? file : resolve(process.env.INIT_CWD ?? '.', file);
}

/** Says what went wrong, in one line, and tells the exit code. */
function failed(error: unknown): number {
  // Commander has said it already.
  if (error instanceof CommanderError) return error.exitCode === 0 ? done : wrongUsage;
  if (error instanceof SluiceError || error instanceof InputError) {
    process.stderr.write(`sluice-replay: ${error.message}\n`);
    return error instanceof SluiceError ? wrongUsage : unusableInput;
  }
  throw error;
}

process.stderr.on('error', () => {});
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  // Whoever reads the report may have seen enough of it, as `head` does.
  if (error.code === 'EPIPE') process.exit(done);
  process.stderr.write(`sluice-replay: the report could not be written: ${error.message}\n`);
  process.exit(unusableInput);
});

command
  .action(replay)
  .parseAsync()
  .catch((error) => {
    process.exitCode = failed(error);
  });
