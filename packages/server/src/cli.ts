#!/usr/bin/env node
import { Command, CommanderError, Help } from 'commander';
import { checkConfig } from './commands/check-config.js';
import { flags, notes } from './commands/flags.js';
import { done, wrongUsage } from './commands/outcome.js';
import { type Flags, serve } from './commands/serve.js';
import { startService } from './service.js';
import { version } from './version.js';

/** In one line, as everything else that goes wrong. */
function inOneLine(text: string, write: (text: string) => void): void {
  const line = text
    .trim()
    .replace(/^error: /, 'sluice: ')
    .replace(/\s*\n\s*/g, ' ')
    // Help of the whole command lists the options of the service, which belong behind its name.
    .replace(/unknown option '(--[\w-]+)\S*' \(Did you mean \1\?\)/, "$1 belongs behind 'serve': sluice serve $1");
  write(`${line}\n`);
}

const program = new Command('sluice')
  .description(
    'A rate limit service over HTTP: decisions, rules that change while it runs, users, analytics and metrics.',
  )
  .usage('serve [options]\n       sluice check-config <file>')
  .version(version, '--version', 'print the version')
  .helpOption('--help', 'print this help')
  .helpCommand('help [command]', 'print the help of a command')
  .configureOutput({ outputError: inOneLine })
  .showSuggestionAfterError()
  .exitOverride();

const served = program.command('serve').description('start the service').addHelpText('after', notes);
for (const flag of flags()) served.addOption(flag);
served.action(async (given: Flags) => process.exit(await serve(given, startService)));

program
  .command('check-config')
  .description('say whether a configuration file is valid, and what is wrong with it')
  .argument('<file>', 'configuration file in YAML')
  .action((file: string) => end(checkConfig(file)));

// The options of the service are what people look for.
program
  .configureHelp({ visibleOptions: (command) => [...served.options, ...new Help().visibleOptions(command)] })
  .addHelpText('after', notes);

function end(code: number): void {
  process.exitCode = code;
}

// Whoever reads what is said may be gone; the service goes on.
process.stdout.on('error', () => {});
process.stderr.on('error', () => {});

program.parseAsync().catch((error) => {
  // Commander has said it already.
  if (!(error instanceof CommanderError)) throw error;
  end(error.exitCode === 0 ? done : wrongUsage);
});
