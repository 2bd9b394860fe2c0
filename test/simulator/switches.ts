/** Switches leave out one part of the reserve each: what a simulator must be able to see the lack of. */
export interface Switches {
  /** A bucket refills what is leased while it may still be spent. */
  readonly noFloor?: boolean;
  /** A lease goes on when the window ends in which its units were taken. */
  readonly noClipping?: boolean;
  /** A lease lasts from the moment at which it is received. */
  readonly fromReceipt?: boolean;
  /** A lease lasts to the last moment by the clock of the node, however slow that is. */
  readonly noMargin?: boolean;
}
