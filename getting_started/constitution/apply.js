/**
 * Does what an accepted proposal says, one action after the other.
 *
 * In: the proposal as text, and its id. An action that throws undoes the whole proposal, and the ballot that decided it.
 */
export function apply(proposal, proposalId) {
  for (const action of JSON.parse(proposal).actions) {
    actions.get(action.name).perform(action.args ?? NO_ARGUMENTS, proposalId);
  }
}
