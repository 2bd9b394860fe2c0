/** What is wrong with one part of a request. */
export interface ProblemPart {
  /** JSON pointer into the body, RFC 6901. */
  readonly pointer?: string;
  /** Name of the query parameter, header field, or part of the path. */
  readonly parameter?: string;
  readonly detail: string;
}

/** A Problem is answered as problem details, RFC 9457: what the client did wrong, or why it cannot be served now. */
export class Problem extends Error {
  readonly status: number;
  readonly title: string;
  readonly detail: string;
  readonly errors: readonly ProblemPart[] | undefined;
  /** Header fields of the answer. */
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    status: number,
    title: string,
    detail: string,
    errors?: readonly ProblemPart[],
    headers: Readonly<Record<string, string>> = {},
  ) {
    super(detail);
    this.name = 'Problem';
    this.status = status;
    this.title = title;
    this.detail = detail;
    this.errors = errors;
    this.headers = headers;
  }

  toJSON(): object {
    const { title, status, detail, errors } = this;
    return { type: 'about:blank', title, status, detail, ...(errors && { errors }) };
  }
}
