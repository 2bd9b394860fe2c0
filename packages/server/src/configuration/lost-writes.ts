import { SluiceError } from '@sluice/core';

/** LostWrites says that a store lacks what this process has seen of it. */
export class LostWrites extends SluiceError {
  /** `isOther`: the store has a version of that number, which other writes have led to. */
  constructor(found: number, seen: number, isOther: boolean) {
    const both = isOther
      ? `${found} of the configuration, which does not follow from the version ${seen} that was there`
      : `${found} of the configuration, and had ${seen}`;
    super('STORE_UNAVAILABLE', `The store has version ${both}: it has lost writes. ${remedy}`);
    this.name = 'LostWrites';
  }
}

/** What there is to do about a loss. */
export const remedy =
  'Restore its data, or say what is to go on: POST /ratelimit/rules/recover with {"from":"service"} for the rules in ' +
  'force in the instance that is asked, or with {"from":"storage"} for what the store has left.';
