/**
 * Decides on a proposal where operators run the machines and the other members own the data.
 *
 * An operator is a member without an encryption key whose `member_data` has `is_operator`. What an operator proposes is
 * accepted at once if it only does an operator's daily work: nodes are let in or taken out, operators are added or
 * removed. Nodes still run only code that the other members have allowed. Everything else is accepted once more than
 * half of the other active members have voted for it; operators' votes do not count.
 *
 * An operator cannot use this to change what another member is: a certificate that belongs to a member who is no
 * operator can only be set by a vote. All else is as in `constitution`.
 */
export function resolve(proposal, proposerId, votes, _proposalId) {
  if (isOperator(proposerId) && JSON.parse(proposal).actions.every(isOperatorsWork)) return "Accepted";
  const voters = activeMembers().filter((memberId) => !isOperator(memberId));
  const yes = votes.filter(({ member_id, vote }) => vote && voters.includes(member_id)).length;
  return yes > voters.length / 2 ? "Accepted" : "Open";
}

function isOperatorsWork({ name, args }) {
  switch (name) {
    case "transition_node_to_trusted":
    case "remove_node":
      return true;
    case "set_member":
      return makesOperator(args);
    case "remove_member":
      return isOperator(args.member_id);
    default:
      return false;
  }
}

function makesOperator({ cert, member_data, encryption_pub_key }) {
  // Empty text passes for a list of no certificates, and names nobody.
  if (cert === "" || !member_data?.is_operator || !isAbsent(encryption_pub_key)) return false;
  const memberId = ccf.pemToId(cert);
  return !memberInfo().has(memberId) || isOperator(memberId);
}

function isOperator(memberId) {
  return !memberKeys().has(memberId) && Boolean(memberInfo().get(memberId)?.member_data?.is_operator);
}
