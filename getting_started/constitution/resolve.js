/**
 * Decides on a proposal: it is accepted once more than half of the active members have voted for it.
 *
 * Asked when a proposal is made and again after each ballot. In: the proposal as text, who made it, the votes so far.
 * Out: "Accepted", or "Open" while votes are missing. Nothing is ever rejected: a ballot is a small program that looks
 * at the state of the service, so a no today may be a yes tomorrow. The proposer may withdraw.
 *
 * Making a proposal is no vote for it. A vote counts as long as the member who cast it is active.
 */
export function resolve(_proposal, _proposerId, votes, _proposalId) {
  const voters = activeMembers();
  const yes = votes.filter(({ member_id, vote }) => vote && voters.includes(member_id)).length;
  return yes > voters.length / 2 ? "Accepted" : "Open";
}
