/**
 * Decides on a proposal where one party names the operators and the other members decide on everything else.
 *
 * A provisioner is a member without an encryption key whose `member_data` has `is_operator_provisioner`; an operator is
 * one whose `member_data` has `is_operator`. A provisioner may add and remove operators: such a proposal is accepted at
 * once, and any other that a provisioner makes is rejected. What others propose is accepted once more than half of the
 * active members who are neither have voted for it.
 *
 * A provisioner cannot use this to change what another member is: a certificate that belongs to a member who is no
 * operator can only be set by a vote. All else is as in `constitution`.
 *
 * CCF's sample of this name decides nothing: it names a variable that does not exist, so that each of its resolutions
 * ends with a ReferenceError. This one does what that one means.
 */
export function resolve(proposal, proposerId, votes, _proposalId) {
  if (has(proposerId, "is_operator_provisioner")) {
    return JSON.parse(proposal).actions.every(isProvisionersWork) ? "Accepted" : "Rejected";
  }
  const voters = activeMembers().filter((id) => !has(id, "is_operator") && !has(id, "is_operator_provisioner"));
  const yes = votes.filter(({ member_id, vote }) => vote && voters.includes(member_id)).length;
  return yes > voters.length / 2 ? "Accepted" : "Open";
}

function isProvisionersWork({ name, args }) {
  if (name === "remove_member") return has(args.member_id, "is_operator");
  return name === "set_member" && makesOperator(args);
}

function makesOperator({ cert, member_data, encryption_pub_key }) {
  // Empty text passes for a list of no certificates, and names nobody.
  if (cert === "" || !member_data?.is_operator || !isAbsent(encryption_pub_key)) return false;
  const memberId = ccf.pemToId(cert);
  return !memberInfo().has(memberId) || has(memberId, "is_operator");
}

/** Whether a member has a role. Whoever helps to recover the service, and so can read everything, has neither. */
function has(memberId, role) {
  return !memberKeys().has(memberId) && Boolean(memberInfo().get(memberId)?.member_data?.[role]);
}
