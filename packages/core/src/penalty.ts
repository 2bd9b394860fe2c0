import type { PenaltyTerms } from './algorithms/penalty.js';
import { type Duration, formatDuration, parseDuration } from './duration.js';
import { SluiceError, show } from './errors.js';
import { checkNames, checkType } from './options.js';
import { type CompiledPolicy, largestLimit } from './policy.js';

/** What becomes of a key whose request was refused: it is blocked for a while, banned after several refusals, or both. */
export interface PenaltyOptions {
  /** How long a key is refused after a refusal. What it asks for meanwhile is not counted as another. */
  blockFor?: Duration;
  /** Doubles the block with each further breach that is not forgotten yet, up to `longest`. @default false */
  escalate?: boolean;
  /** The longest block that escalation comes to. @default '1d' */
  longest?: Duration;
  /** A request that is refused while the key is blocked starts the block anew. @default false */
  restart?: boolean;
  /**
   * How long breaches are remembered after the end of the last one and its block; of a ban, after the ban.
   * @default an hour, or `blockFor` where that is longer
   */
  forgetAfter?: Duration;
  /**
   * Breaches after which the key is refused everything, with 403: refusals, or blocks where there is a `blockFor`. The
   * first breach that is remembered after a ban brings the next one.
   */
  banAfter?: number;
  /** @default '1d' */
  banFor?: Duration;
}

/** The policies that keep the breaches of a key: a store blocks and bans as it limits, atomically and for a whole fleet. */
export interface CompiledPenalty {
  readonly block: CompiledPolicy | undefined;
  readonly ban: CompiledPolicy | undefined;
}

const known = ['blockFor', 'escalate', 'longest', 'restart', 'forgetAfter', 'banAfter', 'banFor'] as const;
const example = "'15m', { blockFor: '15m', escalate: true } or { banAfter: 5 }";
const hour = 3_600_000;

/**
 * Checks a penalty and compiles it. Its policies are called `${name}-block` and `${name}-ban`.
 * @throws SluiceError for options that cannot work, with the remedy.
 */
export function compilePenalty(input: PenaltyOptions | Duration, where: string, name: string): CompiledPenalty {
  const options = typeof input === 'number' || typeof input === 'string' ? { blockFor: input } : input;
  checkNames(options, known, where, example);
  checkType(options, 'escalate', 'boolean', where);
  checkType(options, 'restart', 'boolean', where);
  checkNeeds(options, where);
  checkName(name, where);

  const { escalate = false, restart = false, banAfter } = options;
  const blockMs = options.blockFor === undefined ? 0 : parseDuration(options.blockFor, `${where}: 'blockFor'`);
  const longestMs = escalate ? parseDuration(options.longest ?? '1d', `${where}: 'longest'`) : blockMs;
  if (longestMs < blockMs) {
    throw new SluiceError(
      'INVALID_OPTION',
      `${where}: 'longest' (${formatDuration(longestMs)}${options.longest === undefined ? ' by default' : ''}) is shorter ` +
        `than 'blockFor' (${formatDuration(blockMs)}). Give it a 'longest' of at least ${formatDuration(blockMs)}.`,
    );
  }
  const forgetMs = parseDuration(options.forgetAfter ?? Math.max(blockMs, hour), `${where}: 'forgetAfter'`);

  let block: CompiledPolicy | undefined;
  if (options.blockFor !== undefined) {
    // Where no block depends on the ones before, a key is as fresh as new when its block ends.
    const terms = { doubles: escalate, longest: longestMs, memory: escalate ? forgetMs : 0, restarts: restart };
    block = policyOf(`${name}-block`, 1, blockMs, terms);
  }
  let ban: CompiledPolicy | undefined;
  if (banAfter !== undefined) {
    if (!Number.isInteger(banAfter) || banAfter < 1 || banAfter > largestLimit) {
      throw new SluiceError(
        'INVALID_OPTION',
        `${where}: 'banAfter' must be an integer from 1 to ${largestLimit}; got ${show(banAfter)}.`,
      );
    }
    const banMs = parseDuration(options.banFor ?? '1d', `${where}: 'banFor'`);
    // A breach is over when its block is: counted from the breach, an escalated block would outlast the memory of it.
    const terms = { doubles: false, longest: banMs, memory: forgetMs + longestMs, restarts: false };
    ban = policyOf(`${name}-ban`, banAfter, banMs, terms);
  }
  return { block, ban };
}

/** Each option together with those that would have no effect without it. */
function checkNeeds(options: PenaltyOptions, where: string): void {
  const { blockFor, escalate, banAfter } = options;
  if (blockFor === undefined && banAfter === undefined) {
    throw new SluiceError(
      'INVALID_OPTION',
      `${where} needs 'blockFor' (how long a key is refused after a refusal), 'banAfter' (refusals after which it is ` +
        `refused everything), or both, like ${example}.`,
    );
  }
  const needs = (name: keyof PenaltyOptions, other: string, met: boolean) => {
    if (options[name] === undefined || options[name] === false || met) return;
    throw new SluiceError(
      'INVALID_OPTION',
      `${where}: '${name}' has no effect without ${other}. Add it, or leave '${name}' out.`,
    );
  };
  needs('escalate', "'blockFor'", blockFor !== undefined);
  needs('restart', "'blockFor'", blockFor !== undefined);
  needs('longest', "'escalate: true'", escalate === true);
  needs('banFor', "'banAfter'", banAfter !== undefined);
  needs('forgetAfter', "'escalate: true' or 'banAfter'", escalate === true || banAfter !== undefined);
}

function checkName(name: string, where: string): void {
  if (/^[A-Za-z0-9_-]{1,58}$/.test(name)) return;
  throw new SluiceError(
    'INVALID_OPTION',
    `${where}: its policies are called after the limiter or rule, with '-block' or '-ban' behind it. Give that a 'name' ` +
      `of 1 to 58 characters of A-Z a-z 0-9 _ -; got ${show(name)}${typeof name === 'string' ? ` of ${name.length}` : ''}.`,
  );
}

/** A penalty policy; durations, also those of the terms, are milliseconds. */
function policyOf(name: string, limit: number, windowMs: number, terms: PenaltyTerms): CompiledPolicy {
  return {
    id: `penalty:${name}`,
    name,
    algorithm: 'penalty',
    limit,
    capacity: limit,
    anchor: 'epoch',
    countRefused: false,
    windowMs,
    window: windowMs * 1_000,
    tick: 1,
    unit: 1,
    rate: 1,
    penalty: { ...terms, longest: terms.longest * 1_000, memory: terms.memory * 1_000 },
  };
}
