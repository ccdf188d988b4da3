/**
 * Seeds of schedules in which something once was wrong, with what it was. They are run again for good: each still makes
 * the service go through much the same, though what is drawn later may have changed.
 */

export const REGRESSIONS: readonly (readonly [seed: number, what: string])[] = [
  [9, "a primary dropped its unsigned tail in its own view, and sessions went on without what they had seen"],
  [17, "a backup that knew of a new view read the end of the one before, which the new primary did not have"],
  [30, "a joiner went on asking a primary that had stopped"],
  [51, "a view began with the record of a retirement and not with a signature"],
  [65, "a secret sent to a node just before its retirement was committed was refused by a strict replay"],
];
