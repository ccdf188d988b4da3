import { strict as assert } from "node:assert";
import type { Seqno, View } from "../../shared/tx_id.ts";
import { OdataError } from "./odata_error.ts";
import { Session } from "./session.ts";

/** A node in a view, whose ledger has an entry of `views[s - 1]` at each seqno s. */
function node(view: View, views: readonly View[], committed: Seqno) {
  return {
    view,
    committedTxId: { view: views[committed - 1]!, seqno: committed },
    store: { version: views.length },
    path: { viewOf: (seqno: Seqno): View | undefined => views[seqno - 1] },
  };
}

const session = () => new Session("primary_rpc_interface", null);

function assertLost(act: () => void, message: RegExp): void {
  assert.throws(act, (error) => {
    assert(error instanceof OdataError);
    assert.equal(error.code, "SessionConsistencyLost");
    assert.match(error.message, message);
    assert.equal(error.toResponse().close, true);
    return true;
  });
}

Deno.test("Session.requireConsistency() holds a session to the view in which it began", () => {
  const one = session();
  one.requireConsistency(node(3, [2, 3], 1));
  one.requireConsistency(node(3, [2, 3, 3], 2));
  assertLost(() => one.requireConsistency(node(4, [2, 3, 3], 3)), /^This session began in view 3 and .* view 4; /);
});

Deno.test("Session.requireConsistency() ends a session whose write was dropped in the view in which it was made", () => {
  const one = session();
  one.requireConsistency(node(2, [2, 2, 2], 1));
  one.seen = { view: 2, seqno: 3 };
  one.requireConsistency(node(2, [2, 2, 2, 2], 1));
  assertLost(() => one.requireConsistency(node(2, [2, 2], 1)), /^This session has seen transaction 2\.3, /);
});

Deno.test("Session.requireConsistencyWithPrimary() ends a session that saw what the primary may not have", () => {
  const one = session();
  // The node has heard of view 4; what it still has of view 3 the primary of view 4 may lack.
  one.requireConsistency(node(4, [2, 3, 3], 1));
  one.seen = { view: 3, seqno: 3 };
  assertLost(
    () => one.requireConsistencyWithPrimary(node(4, [2, 3, 3], 1)),
    /^This session has seen transaction 3\.3, /,
  );
  one.requireConsistency(node(4, [2, 3, 3], 1));
  // An entry of view 4 after it, or its commit, says that the primary has it.
  one.requireConsistencyWithPrimary(node(4, [2, 3, 3, 4], 1));
  one.requireConsistencyWithPrimary(node(4, [2, 3, 3], 3));
  session().requireConsistencyWithPrimary(node(4, [2, 3, 3], 1));
});
