/**
 * An action by which members define roles for apps that look there for what a user may do.
 *
 * This folder holds what is added to `constitution`. Which user has which role stands in the user's `user_data`, or
 * wherever the app looks for it.
 */

/** Replaces the list of what somebody with this role may do. The app decides what the names of `actions` mean. */
actions.set("set_role_definition", {
  check(args) {
    checkType("string", args.role, "role");
    checkArray(args.actions, "actions");
    for (const [index, action] of args.actions.entries()) checkType("string", action, `actions[${index}]`);
  },
  perform(args) {
    // A table of apps: a constitution may write it and not read it.
    const allowed = textSet(`public:programmability.roles.${args.role}`);
    allowed.clear();
    for (const action of args.actions) allowed.add(JSON.stringify(action));
  },
});
