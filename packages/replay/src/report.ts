import type { AccessLog } from './access-log.js';
import { type Playback, type RefusedClient, requestsAt } from './player.js';
import { titleOf } from './trial.js';
import { visible, visibleJson } from './visible.js';

export interface ReportOptions {
  /** The log's name. */
  name: string;
  /** How many of the clients that were refused most are named. @default 10 */
  top?: number;
}

const barWidth = 30;
const longestClient = 48;

/** Tells people what became of a log's requests in each trial. */
export function textReport(log: AccessLog, playbacks: readonly Playback[], options: ReportOptions): string {
  const sections = [logLines(log, options.name)];
  if (playbacks.length > 1) sections.push(comparison(log, playbacks));
  for (const playback of playbacks) {
    const worthASection = playback.refused > 0 || playback.held > 0 || playbacks.length === 1;
    if (worthASection) sections.push(playbackLines(log, playback, options.top ?? 10));
  }
  return `${sections.map((lines) => lines.join('\n')).join('\n\n')}\n`;
}

/** Tells programs the same. Times are ISO 8601, in UTC. */
export function jsonReport(log: AccessLog, playbacks: readonly Playback[], options: ReportOptions): string {
  const { times, clients, outOfOrder, malformed } = log;
  const report = {
    log: {
      name: options.name,
      requests: times.length,
      clients: clients.length,
      first: iso(times[0]!),
      last: iso(times.at(-1)!),
      outOfOrder,
      malformed,
    },
    trials: playbacks.map((playback) => ({
      policies: playback.trial.map(({ text, compiled: { algorithm } }, i) => ({
        policy: text,
        algorithm,
        refused: playback.refusedBy[i],
      })),
      refused: playback.refused,
      refusedClients: playback.clients.length,
      held: playback.held,
      longestDelayMs: playback.longestDelay,
      worstMinute: playback.worst && { start: iso(playback.worst.start), refused: playback.worst.refused },
      clients: playback.clients
        .slice(0, options.top ?? 10)
        .map(({ first, last, ...client }) => ({ ...client, first: iso(first), last: iso(last) })),
      timeline: timelineRows(log, playback).map(({ start, ...row }) => ({ start: iso(start), ...row })),
    })),
  };
  return `${visibleJson(report)}\n`;
}

function logLines(log: AccessLog, name: string): string[] {
  const { times, clients, outOfOrder, malformed, offset } = log;
  const [first, last] = [times[0]!, times.at(-1)!];
  const lines = [
    `${visible(name)}: ${count(times.length, 'request')} from ${count(clients.length, 'client')} ` +
      `in ${span(last - first)}, ${moment(first, offset)} to ${moment(last, offset)} ${zone(offset)}`,
  ];
  if (outOfOrder > 0) lines.push(`Logged after a later one, and put in order: ${count(outOfOrder, 'request')}.`);
  if (malformed.count > 0) {
    const shown = malformed.first.length < malformed.count ? `, of which the first ${malformed.first.length}` : '';
    lines.push(`Not in Common or Combined Log Format: ${count(malformed.count, 'line')}${shown}:`);
    for (const { line, text } of malformed.first) lines.push(`  line ${line}: ${visible(text)}`);
  }
  return lines;
}

function comparison(log: AccessLog, playbacks: readonly Playback[]): string[] {
  return table(
    ['policy', 'refused', 'share', 'clients', 'worst minute'],
    playbacks.map((playback) => [
      titleOf(playback.trial),
      number(playback.refused),
      share(playback.refused, log.times.length),
      number(playback.clients.length),
      playback.worst ? `${moment(playback.worst.start, log.offset).slice(0, -3)} (${playback.worst.refused})` : '',
    ]),
  );
}

function playbackLines(log: AccessLog, playback: Playback, top: number): string[] {
  const { trial, refused, refusedBy, held, longestDelay, clients, worst } = playback;
  const lines = [
    `${titleOf(trial)} ${trial.length > 1 ? 'together refuse' : 'refuses'} ${number(refused)} of ${count(log.times.length, 'request')}` +
      (worst === undefined ? '' : ` (${share(refused, log.times.length)}), of ${count(clients.length, 'client')}`),
  ];
  if (trial.length > 1) {
    for (const [i, { text }] of trial.entries()) lines.push(`  refused by ${text}: ${number(refusedBy[i]!)}`);
  }
  if (held > 0) lines.push(`  holds ${count(held, 'request')} before they pass, up to ${span(longestDelay / 1_000)}`);
  if (worst === undefined) return lines;
  lines.push(
    `  worst minute: ${moment(worst.start, log.offset).slice(0, -3)}, ${number(worst.refused)} refused`,
    ...(top > 0 ? ['', ...clientLines(clients, top, log.offset)] : []),
    '',
    ...timelineLines(log, playback),
  );
  return lines;
}

function clientLines(clients: readonly RefusedClient[], top: number, offset: number): string[] {
  const lines = table(
    ['client', 'refused', 'requests', 'first', 'last'],
    clients
      .slice(0, top)
      .map(({ client, refused, requests, first, last }) => [
        shortened(visible(client)),
        number(refused),
        number(requests),
        moment(first, offset),
        moment(last, offset),
      ]),
  );
  if (clients.length > top) lines.push(`and ${count(clients.length - top, 'client')} more`);
  return indented(lines);
}

function timelineLines(log: AccessLog, playback: Playback): string[] {
  const rows = timelineRows(log, playback);
  const most = Math.max(...rows.map(({ refused }) => refused));
  const { step } = playback.timeline;
  const end = step < 60 ? undefined : -3;
  const lines = table(
    [`per ${span(step)}`, 'refused', 'requests', ''],
    rows.map(({ start, requests, refused }) => [
      moment(start, log.offset).slice(0, end),
      number(refused),
      number(requests),
      '█'.repeat(Math.ceil((refused / most) * barWidth)),
    ]),
  );
  return indented(lines);
}

function timelineRows(log: AccessLog, { timeline, refusedAt }: Playback) {
  const requests = requestsAt(log, timeline);
  return Array.from(refusedAt, (refused, i) => ({
    start: timeline.start + i * timeline.step,
    requests: requests[i]!,
    refused,
  }));
}

/** Lines up cells in columns: numbers to the right, all else to the left. */
function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const widths = head.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i]!.length)));
  const numeric = head.map((_, i) => rows.every((row) => /^[\d,.]+ ?%?$/.test(row[i]!)));
  return [head, ...rows].map((row) =>
    row
      .map((cell, i) => (numeric[i] ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!)))
      .join('  ')
      .trimEnd(),
  );
}

function indented(lines: readonly string[]): string[] {
  return lines.map((line) => `  ${line}`);
}

function shortened(client: string): string {
  return client.length > longestClient ? `${client.slice(0, longestClient - 1)}…` : client;
}

function number(value: number): string {
  return value.toLocaleString('en-US');
}

function count(value: number, noun: string): string {
  return `${number(value)} ${noun}${value === 1 ? '' : 's'}`;
}

function share(part: number, whole: number): string {
  return `${((part / whole) * 100).toFixed(2)} %`;
}

/** A length of time, in the largest unit of which there are a few, or a whole number. */
function span(seconds: number): string {
  for (const [unit, few, name] of [
    [86_400, 4, 'day'],
    [3_600, 2, 'hour'],
    [60, 2, 'minute'],
  ] as const) {
    if (seconds >= unit * few || (seconds > 0 && seconds % unit === 0)) return count(Math.round(seconds / unit), name);
  }
  return count(Math.round(seconds), 'second');
}

/** A moment as the log's own clock showed it. */
function moment(time: number, offset: number): string {
  return new Date((time + offset * 60) * 1_000).toISOString().slice(0, 19).replace('T', ' ');
}

function zone(offset: number): string {
  const minutes = Math.abs(offset);
  const two = (value: number) => String(value).padStart(2, '0');
  return `${offset < 0 ? '-' : '+'}${two(Math.floor(minutes / 60))}${two(minutes % 60)}`;
}

function iso(time: number): string {
  return new Date(time * 1_000).toISOString();
}
