/** Control and format characters, lone surrogates and line separators: what could drive or confuse a terminal. */
const invisible = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;

/** Writes characters that a terminal would obey as escapes: a log is written by strangers. */
export function visible(text: string): string {
  return text.replace(invisible, (character) => {
    const code = character.codePointAt(0)!;
    return code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u{${code.toString(16)}}`;
  });
}

/** JSON in which such characters stand as escapes too, so that it reads back the same. */
export function visibleJson(value: unknown): string {
  // Of control characters, only the line feeds of the indentation are left to see here.
  return JSON.stringify(value, undefined, 2).replace(invisible, (characters) => {
    if (characters === '\n') return characters;
    let escaped = '';
    for (let i = 0; i < characters.length; i++) {
      escaped += `\\u${characters.charCodeAt(i).toString(16).padStart(4, '0')}`;
    }
    return escaped;
  });
}
