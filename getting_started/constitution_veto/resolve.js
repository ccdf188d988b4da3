/**
 * Decides on a proposal: one vote against it rejects it for good. Otherwise it is accepted once more than half of the
 * active members have voted, so a proposal can pass before everybody has had the chance to object.
 *
 * For consortia in which nobody shall be overruled. All else is as in `constitution`.
 * A vote, for or against, counts as long as the member who cast it is active.
 */
export function resolve(_proposal, _proposerId, votes, _proposalId) {
  const voters = activeMembers();
  const counted = votes.filter(({ member_id }) => voters.includes(member_id));
  if (counted.some(({ vote }) => !vote)) return "Rejected";
  return counted.length > voters.length / 2 ? "Accepted" : "Open";
}
