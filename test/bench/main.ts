// How does Sluice compare with its peers of the day? Runs all parts, or the ones named: `pnpm bench decisions --quick`.
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { peerNames, versionOf } from './contenders.js';
import { decisions } from './decisions.js';
import { deny } from './deny.js';
import { fleet } from './fleet.js';
import { http } from './http.js';
import { memory } from './memory.js';
import { pauses } from './pauses.js';
import { redis } from './redis.js';
import { rules } from './rules.js';
import { service } from './service.js';
import { type Size, sizes } from './size.js';
import { print, type Table } from './table.js';

const parts: Readonly<Record<string, (size: Size) => Promise<Table>>> = {
  decisions,
  memory,
  pauses,
  rules,
  http,
  redis,
  deny,
  service,
  fleet,
};

const usage = `Usage: pnpm bench [part …] [--quick] [--json]

  decisions  decisions per second in memory, at 1, 10,000 and 1,000,000 keys
  memory     bytes per active key
  pauses     longest pause of the event loop while 1,000,000 keys expire
  rules      nanoseconds to find the rule of a request, among 10 and 10,000
  http       added microseconds per request, for each framework
  redis      decisions per second in Redis, how long they take, and what they cost client and server
  deny       refusals per second that are repeated without asking Redis, and what that costs those who are granted
  service    decisions per second of the service over HTTP, and how long they take, beside a bare route
  fleet      decisions per second of several processes over a cluster, per call, and whether they keep to the contract

  --quick    fewer rounds and keys
  --smoke    hardly any: shows that everything runs
  --json     the results as JSON
`;

async function main(): Promise<void> {
  const { names, size, json } = readArguments();
  const machine = describeMachine();
  if (!json) console.log(`${heading(machine)}\n`);
  const tables: Table[] = [];
  for (const name of names) {
    if (process.stderr.isTTY) process.stderr.write(`${name} …\r`);
    const table = await parts[name]!(size);
    tables.push(table);
    if (!json) console.log(print(table));
  }
  if (json) console.log(JSON.stringify({ ...machine, tables }, undefined, 2));
  if (tables.some(({ failures }) => failures.length > 0)) process.exitCode = 1;
}

function readArguments(): { names: readonly string[]; size: Size; json: boolean } {
  try {
    const { values, positionals } = parseArgs({
      // pnpm hands on the `--` of `pnpm bench -- decisions`.
      args: process.argv.slice(2).filter((arg) => arg !== '--'),
      options: {
        quick: { type: 'boolean', default: false },
        smoke: { type: 'boolean', default: false },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
      allowPositionals: true,
    });
    if (values.help) {
      console.log(usage);
      process.exit(0);
    }
    const unknown = positionals.find((name) => !Object.hasOwn(parts, name));
    if (unknown !== undefined) throw new Error(`There is no part called '${unknown}'.`);
    return {
      names: positionals.length > 0 ? positionals : Object.keys(parts),
      size: values.smoke ? sizes.smoke : values.quick ? sizes.quick : sizes.full,
      json: values.json,
    };
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${usage}`);
    process.exit(2);
  }
}

function describeMachine() {
  const processors = cpus();
  return {
    date: new Date().toISOString().slice(0, 10),
    node: process.version,
    machine: `${processors.length} × ${processors[0]?.model.trim() ?? 'unknown'}, ${process.platform} ${process.arch}`,
    peers: Object.fromEntries(peerNames.map((name) => [name, versionOf(name)])),
  };
}

function heading({ date, node, machine, peers }: ReturnType<typeof describeMachine>): string {
  const against = Object.entries(peers).map(([name, version]) => `${name} ${version}`);
  return `Sluice on ${date}, Node.js ${node}, ${machine}\nbeside ${against.join(', ')}`;
}

await main();
