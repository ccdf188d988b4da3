/**
 * Seeds of schedules in which nodes once failed, or fail if what was wrong is put back, with what it was. They are run again
 * for good, and each makes the service go through what it took.
 */

export const REGRESSIONS: readonly (readonly [seed: number, what: string])[] = [
  [1, "a primary dropped its unsigned tail in its own view, and sessions went on without what they had seen"],
  [5, "a view began with the record of a retirement and not with a signature"],
  [15, "a backup that knew of a new view read the end of the one before, which the new primary did not have"],
  [94, "an entry with a changed flag was taken, and no signature after it"],
];
