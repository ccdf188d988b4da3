/**
 * Says whether a proposal makes sense, before anybody votes on it.
 *
 * In: the proposal as text. Out: whether it is valid, and if not, what is wrong with which action.
 */
export function validate(proposal) {
  const errors = [];
  for (const [position, action] of [...JSON.parse(proposal).actions].entries()) {
    const definition = actions.get(action.name);
    if (definition === undefined) {
      errors.push(`${action.name}: no such action`);
      continue;
    }
    try {
      definition.check(action.args ?? NO_ARGUMENTS);
    } catch (error) {
      errors.push(`${action.name} at position ${position} failed validation: ${error}\n${error.stack}`);
    }
  }
  return { valid: errors.length === 0, description: errors.join(", ") };
}
