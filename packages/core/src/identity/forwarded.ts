/**
 * HopReader reads the hops that a header lists, from the right: first the one that the nearest proxy has added. What
 * stands further left may be anything, and is not looked at. A hop is an address as written, with whatever is around
 * it; `undefined` for one that cannot be read, behind which nothing counts.
 */
export interface HopReader {
  /** Whether there is another hop to the left. */
  readonly more: boolean;
  next(): string | undefined;
}

/** Reads `X-Forwarded-For: 203.0.113.7, 10.0.0.1`. */
export class ForwardedForReader implements HopReader {
  readonly #text: string;
  /** The end of what has not been read, or -1. */
  #end: number;

  constructor(text: string) {
    this.#text = text;
    this.#end = text.length;
  }

  get more(): boolean {
    return this.#end >= 0;
  }

  next(): string | undefined {
    const comma = this.#text.lastIndexOf(',', this.#end - 1);
    const hop = this.#text.slice(comma + 1, this.#end).trim();
    this.#end = comma;
    return hop === '' ? undefined : hop;
  }
}

/**
 * Reads `Forwarded: for=203.0.113.7;proto=https, for="[2001:db8::1]:4711"`, as of RFC 7239. Read from the left, a quote
 * that a client leaves open would take in what the proxies have added.
 */
export class ForwardedReader implements HopReader {
  readonly #text: string;
  #end: number;

  constructor(text: string) {
    this.#text = text;
    this.#end = text.length;
  }

  get more(): boolean {
    return this.#end >= 0;
  }

  /** The `for` of one element; `undefined` where there is none, or several. */
  next(): string | undefined {
    let hop: string | undefined;
    for (;;) {
      this.#skipSpace();
      if (!this.#atBreak()) {
        const value = this.#value();
        const name = value === undefined ? undefined : this.#name();
        if (value === undefined || name === undefined) return this.#stop();
        if (name === 'for') {
          if (hop !== undefined) return this.#stop();
          hop = value;
        }
        this.#skipSpace();
        if (!this.#atBreak()) return this.#stop();
      }
      const isLast = this.#before() !== ';';
      this.#end--;
      if (isLast) return hop;
    }
  }

  #stop(): undefined {
    this.#end = -1;
    return undefined;
  }

  /** The character before the end; empty at the start of the text. */
  #before(): string {
    return this.#text.charAt(this.#end - 1);
  }

  #atBreak(): boolean {
    const before = this.#before();
    return before === '' || before === ',' || before === ';';
  }

  #skipSpace(): void {
    while (this.#before() === ' ' || this.#before() === '\t') this.#end--;
  }

  /** Takes the value of a pair and the equals sign before it. */
  #value(): string | undefined {
    const value = this.#before() === '"' ? this.#quoted() : this.#run();
    if (this.#before() !== '=') return undefined;
    this.#end--;
    return value;
  }

  #name(): string | undefined {
    const name = this.#run();
    return name === '' ? undefined : name.toLowerCase();
  }

  /** Everything up to the next character that has a meaning: some write an address with colons, but without quotes. */
  #run(): string {
    const end = this.#end;
    while (!' \t,;="'.includes(this.#before())) this.#end--;
    return this.#text.slice(this.#end, end);
  }

  #quoted(): string | undefined {
    const text = this.#text;
    const close = this.#end - 1;
    if (this.#isEscaped(close)) return undefined;
    let open = close - 1;
    while (open >= 0 && (text[open] !== '"' || this.#isEscaped(open))) open--;
    if (open < 0) return undefined;
    this.#end = open;
    return text.slice(open + 1, close).replace(/\\(.)/g, '$1');
  }

  #isEscaped(at: number): boolean {
    let first = at;
    while (this.#text[first - 1] === '\\') first--;
    return (at - first) % 2 === 1;
  }
}
