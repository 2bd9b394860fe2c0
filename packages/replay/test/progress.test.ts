import { PassThrough } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { progressOn } from '../src/progress.ts';

function drawnOn(isTTY: boolean): string {
  const stream = Object.assign(new PassThrough({ encoding: 'utf8' }), { isTTY }) as unknown as NodeJS.WriteStream;
  const progress = progressOn(stream);
  progress.reading(500_000, undefined);
  progress.playing(50, 100);
  progress.stop();
  return (stream.read() as unknown as string | null) ?? '';
}

describe('progressOn', () => {
  it('draws a bar on a terminal, and clears it in the end', () => {
    const drawn = drawnOn(true);
    expect(drawn).toContain('0.5 MB');
    expect(drawn).toContain('50%');
    expect(drawn.endsWith('\x1b[2K')).toBe(true);
  });

  it('leaves the cursor and the wrapping of lines alone, so that an interruption leaves nothing behind', () => {
    expect(drawnOn(true)).not.toContain('\x1b[?');
  });

  it('writes nothing where there is no terminal', () => {
    expect(drawnOn(false)).toBe('');
  });
});
