import { availableMemory, constrainedMemory } from 'node:process';
import { describe, expect, test } from 'vitest';
import { MemoryStore } from '../../src/index.ts';
import { bytesPerKey, checkRoom } from '../../src/memory/room.ts';

const unlimited = () => 18_446_744_073_709_552_000;

describe('maxKeys beyond the memory there is', () => {
  test('throws with both figures and the number that has room, in a container', () => {
    const container = { constrainedMemory: () => 512 * 2 ** 20, availableMemory: () => 2 ** 40 };
    expect(() => checkRoom(13_421_772, container)).not.toThrow();
    expect(() => checkRoom(13_421_773, container)).toThrow(
      expect.objectContaining({
        code: 'INVALID_OPTION',
        message:
          "MemoryStore: 'maxKeys' of 13421773 needs up to 513 MB of memory, at 40 bytes per key, and this container has " +
          "512 MB. Set 'maxKeys' to at most 13421772, give the process more memory, or keep the keys in Redis.",
      }),
    );
  });

  test.each([unlimited, () => 0, undefined])('throws on a machine that has less free', (constrainedMemory) => {
    const machine = { ...(constrainedMemory && { constrainedMemory }), availableMemory: () => 40_000_000 };
    const twice = { ...machine, availableMemory: () => 80_000_000 };
    expect(() => checkRoom(2_000_000, twice)).not.toThrow();
    expect(() => checkRoom(2_000_001, twice)).toThrow(/this machine has only 77 MB free/);
    expect(() => checkRoom(1_000_001, machine)).toThrow(/this machine has only 39 MB free/);
  });

  test('is not looked for where there are a million keys or fewer', () => {
    expect(() => checkRoom(1_000_000, { availableMemory: () => 1_000_000 })).not.toThrow();
  });

  test('is not known on macOS outside of a container, where next to nothing may be free', () => {
    expect(() => checkRoom(2 ** 30, { platform: 'darwin', availableMemory: () => 30_000_000 })).not.toThrow();
  });

  test('is not known where the runtime does not say what there is', () => {
    expect(() => checkRoom(2 ** 30, {})).not.toThrow();
    expect(() => checkRoom(2 ** 30, { constrainedMemory: () => 0 })).not.toThrow();
  });

  test('throws in this very process, and only then', () => {
    const limit = constrainedMemory();
    const room = limit > 0 && limit < 2 ** 53 ? limit : availableMemory();
    if (room >= 2 ** 30 * bytesPerKey) expect(new MemoryStore({ maxKeys: 2 ** 30 }).size).toBe(0);
    else expect(() => new MemoryStore({ maxKeys: 2 ** 30 })).toThrow(/at 40 bytes per key/);
    expect(new MemoryStore({ maxKeys: 1_000 }).size).toBe(0);
  });
});
