/** A Check is a request to somebody's service, as the caller tells of it: who sent it, to where, and what it costs. */
export interface Check {
  readonly userId?: string | undefined;
  readonly apiKey?: string | undefined;
  readonly ip?: string | undefined;
  readonly method?: string | undefined;
  /** The request target: a path, with or without its query. */
  readonly endpoint?: string | undefined;
  readonly tier?: string | undefined;
  readonly cost?: number | undefined;
}
