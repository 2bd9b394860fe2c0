import { Option } from 'commander';
import { flagOf, type OptionName, optionNames, options, variableOf } from '../settings/options.js';

/** The flags of `sluice serve`, made of the options there are. Each collects what it is given, as it is written. */
export function flags(): readonly Option[] {
  const collect = (text: string, before: readonly string[] = []) => [...before, text];
  const all = optionNames.map((name) =>
    new Option(`${flagOf(name)} <${options[name].value}>`, descriptionOf(name))
      .argParser(collect)
      .helpGroup(`${options[name].group}:`),
  );
  const config = new Option('--config <file>', `settings, rules and lists in YAML [${variableOf('config')}]`)
    .argParser(collect)
    .helpGroup('Configuration file:');
  return [...all, config];
}

function descriptionOf(name: OptionName): string {
  const option = options[name];
  const otherwise = 'default' in option ? ` (default: ${option.default})` : '';
  return `${option.help}${otherwise} [${variableOf(name)}]`;
}

export const notes = `
Every option can be given as the variable in brackets behind it, or in the file of --config under its name with
underscores (data_dir). A flag goes before a variable, that before the file, and that before the default. Options that
are lists take commas, and in the file lists. The file also holds 'rules' and 'lists' as the API takes them:

  port: 9000
  redis: [redis://10.0.0.1:6379, redis://10.0.0.2:6379]
  instances: 4
  rules:
    - { id: login, endpoint: /login, methods: [POST], limit: 5, window: 1m, identity: ip }
  lists:
    allow: [192.0.2.0/28]
    block: ['user:42', 203.0.113.7]

SIGTERM and SIGINT answer what is in flight, save what is to be saved, and end with 0; a second one ends at once
with 130. What cannot start ends with 1, wrong usage and wrong settings with 2.

Examples:
  $ sluice serve
  $ sluice serve --port 0 --max-tokens 10 --refill-rate 2
  $ sluice serve --host 0.0.0.0 --admin-token-file /run/secrets/admin --redis redis://redis:6379 --instances 4
  $ SLUICE_CONFIG=sluice.yaml sluice serve
  $ sluice check-config sluice.yaml`;
