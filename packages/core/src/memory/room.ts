import { SluiceError } from '../errors.js';

/** Bytes that a key takes at the most, whatever its length: its row, the empty ones beside it, and its part of all else. */
export const bytesPerKey = 40;

/** So many keys are not checked: what they need is not much, and what is free changes from moment to moment. */
export const fewKeys = 1_000_000;

/** What a runtime says of its memory, in bytes. Node does; where nothing is said, nothing is checked. */
export interface MemoryGauge {
  readonly platform?: string;
  /** What a container grants, of which some is used; beyond all bounds where there is none. */
  constrainedMemory?(): number;
  /** What is free now. On macOS, memory that would be given up for others does not count as free, and may be nearly all of it. */
  availableMemory?(): number;
}

declare const process: MemoryGauge | undefined;

/**
 * Checks that so many keys, if they are many, have room in the memory there is: a container's, else what is free on the machine.
 * @throws SluiceError `INVALID_OPTION` with both figures and how many would have room.
 */
export function checkRoom(maxKeys: number, gauge = gaugeOfProcess()): void {
  if (maxKeys <= fewKeys) return;
  const constrained = gauge.constrainedMemory?.() ?? 0;
  const isContainer = constrained > 0 && constrained < 2 ** 53;
  const room = isContainer ? constrained : gauge.platform === 'darwin' ? undefined : gauge.availableMemory?.();
  const needed = maxKeys * bytesPerKey;
  if (room === undefined || needed <= room) return;
  throw new SluiceError(
    'INVALID_OPTION',
    `MemoryStore: 'maxKeys' of ${maxKeys} needs up to ${megabytes(needed)} of memory, at ${bytesPerKey} bytes per key, and ` +
      `${isContainer ? 'this container has' : 'this machine has only'} ${megabytes(room)}${isContainer ? '' : ' free'}. ` +
      `Set 'maxKeys' to at most ${Math.floor(room / bytesPerKey)}, give the process more memory, or keep the keys in Redis.`,
  );
}

function gaugeOfProcess(): MemoryGauge {
  return typeof process === 'object' ? process : {};
}

function megabytes(bytes: number): string {
  return `${Math.ceil(bytes / 2 ** 20)} MB`;
}
