import { readFileSync, statSync } from 'node:fs';
import { isMap, isNode, isScalar, LineCounter, type Node, type Pair, parseDocument, visit } from 'yaml';
import { type Place, SettingsError } from './mistakes.js';

/** The steps from the top of a file to a value in it. */
export type Path = readonly (string | number)[];

/** A ConfigFile is a file of settings, rules and lists in YAML, which knows where everything in it stands. */
export class ConfigFile {
  /** As its user calls it. */
  readonly name: string;
  readonly values: Readonly<Record<string, unknown>>;
  /** Whether everybody on this machine may read it. */
  readonly isOpen: boolean;
  readonly #top: Node;
  readonly #lines: LineCounter;

  /** @throws SettingsError that names line and column of all that is no YAML, or no map of settings. */
  constructor(name: string, text: string, isOpen = false) {
    this.name = name;
    this.isOpen = isOpen;
    this.#lines = new LineCounter();
    const document = parseDocument(text, { lineCounter: this.#lines, prettyErrors: false });
    // What YAML only warns of, such as a tag that nobody resolves, would be read as something else than was meant.
    const faults: { readonly message: string; readonly pos: readonly number[] }[] = [
      ...document.errors,
      ...document.warnings,
    ];
    visit(document, {
      Alias: (_, alias) => {
        if (alias.resolve(document) !== undefined) return;
        faults.push({
          message: 'No anchor of this name stands before it. For text, use quotes',
          pos: alias.range ?? [],
        });
      },
    });
    if (faults.length > 0) {
      throw new SettingsError(faults.map(({ pos, message }) => `${this.#at(pos[0])}: ${oneLine(message)}`));
    }
    if (document.contents === null) {
      throw new SettingsError([
        `${name}: holds no settings. Write at least one, like 'port: 8080', or leave out --config.`,
      ]);
    }
    this.#top = document.contents;
    if (!isMap(this.#top)) {
      throw new SettingsError([`${this.#at(this.#top.range?.[0])}: must be a map of settings, like 'port: 8080'.`]);
    }
    try {
      this.values = document.toJS();
    } catch (error) {
      // Too many aliases, or one that names itself.
      throw new SettingsError([`${name}: ${oneLine((error as Error).message)}`]);
    }
  }

  /** Where the value stands to which a path leads, or as much of the path as there is. */
  placeOf(path: Path): Place {
    let [node, start]: [unknown, number | undefined] = [this.#top, this.#top.range?.[0]];
    for (const step of path) {
      const next = stepInto(node, step);
      if (next === undefined) break;
      [node, start] = next;
    }
    const { line, col } = this.#lines.linePos(start ?? 0);
    return { text: `${this.#at(start)} ${pathText(path)}`, line, column: col };
  }

  #at(offset = 0): string {
    const { line, col } = this.#lines.linePos(offset);
    return `${this.name}:${line}:${col}`;
  }
}

/**
 * Reads a file of settings.
 * @throws SettingsError for a file that cannot be read, is not in UTF-8, or is no YAML.
 */
export function readConfigFile(path: string, name = path): ConfigFile {
  let bytes: Buffer;
  let isOpen: boolean;
  try {
    bytes = readFileSync(path);
    isOpen = isReadableByAll(path);
  } catch (error) {
    throw new SettingsError([
      `${name}: cannot be read (${(error as NodeJS.ErrnoException).code}). Give the path of a file.`,
    ]);
  }
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new SettingsError([`${name}: is not in UTF-8. Save it in that encoding.`]);
  }
  return new ConfigFile(name, text, isOpen);
}

/** Whether everybody on this machine may read that file, as far as the file tells. */
export function isReadableByAll(path: string): boolean {
  return process.platform !== 'win32' && (statSync(path).mode & 0o004) !== 0;
}

/** `['rules', 2, 'window']` as `rules[2].window`. */
export function pathText(path: Path): string {
  return path.map((step, i) => (typeof step === 'number' ? `[${step}]` : `${i === 0 ? '' : '.'}${step}`)).join('');
}

/** What a step leads to, and where that begins: of a map, at the key. */
function stepInto(node: unknown, step: string | number): [node: unknown, start: number | undefined] | undefined {
  if (isMap(node)) {
    const pair = node.items.find(({ key }) => String(isScalar(key) ? key.value : key) === String(step));
    return pair && [pair.value, startOf((pair as Pair).key)];
  }
  if (typeof node !== 'object' || node === null || !('items' in node) || typeof step !== 'number') return undefined;
  const item: unknown = (node.items as readonly unknown[])[step];
  return isNode(item) ? [item, startOf(item)] : undefined;
}

function startOf(node: unknown): number | undefined {
  return isNode(node) ? node.range?.[0] : undefined;
}

/** What YAML says is wrong, without the text that it quotes: that may be a secret. */
function oneLine(message: string): string {
  return message
    .replace(/\s*\n\s*/g, ' ')
    .replace(/: .*$/, '')
    .trim();
}
