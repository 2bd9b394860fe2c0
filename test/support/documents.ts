import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../../', import.meta.url));

export interface Block {
  /** The document, and the line on which the block begins. */
  readonly place: string;
  readonly language: string;
  readonly text: string;
}

/** The documents of the repository, by their paths from its root. */
export function documents(): readonly string[] {
  const packages = readdirSync(join(root, 'packages')).map((name) => `packages/${name}/README.md`);
  const docs = existsSync(join(root, 'docs')) ? readdirSync(join(root, 'docs')).map((name) => `docs/${name}`) : [];
  const all = ['README.md', 'CONTRIBUTING.md', ...packages, ...docs.filter((name) => name.endsWith('.md'))];
  return all.filter((path) => existsSync(join(root, path)));
}

/** The fenced code blocks of a document. */
export function blocksOf(document: string): readonly Block[] {
  const text = readFileSync(join(root, document), 'utf8');
  return [...text.matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)].map(([whole, language, block], _) => ({
    place: `${document}:${text.slice(0, text.indexOf(whole)).split('\n').length}`,
    language: language!,
    text: block!,
  }));
}

/** The rows of the first table after the text `after`, header first, each cell trimmed. */
export function tableAfter(document: string, after: string): readonly string[][] {
  const text = readFileSync(join(root, document), 'utf8');
  const from = text.indexOf(after);
  if (from < 0) throw new Error(`${document} does not say ${JSON.stringify(after)}`);
  const table = /(?:^\|.*\|\n)+/m.exec(text.slice(from))?.[0] ?? '';
  const rows = table
    .trim()
    .split('\n')
    .map((row) =>
      row
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
  return rows.filter((row) => !row.every((cell) => /^-+$/.test(cell)));
}
