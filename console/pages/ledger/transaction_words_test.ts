import { strict as assert } from "node:assert";
import { toUtf8 } from "../../../shared/bytes.ts";
import {
  finishMemberRequest,
  type MemberRequest,
  PLAIN_BALLOTS,
  prepareMemberRequest,
} from "../../../shared/governance/member_request.ts";
import type { TransactionDetail, WriteDetail } from "../../ledger/protocol.ts";
import { proposalIdOf, requestOf, summaryOf } from "./transaction_words.ts";

const memberId = "ab".repeat(32);
const proposalId = "cd".repeat(32);

function transaction(change: Partial<TransactionDetail>): TransactionDetail {
  return {
    seqno: 15,
    txId: "2.15",
    kind: "user",
    sizeBytes: 300,
    tables: [],
    hasPrivate: false,
    hasClaims: false,
    proof: "verified",
    bytes: new Uint8Array(),
    layout: [],
    writes: [],
    privateBytes: 0,
    writeSetDigest: "",
    leaf: "",
    ...change,
  };
}

function requested(request: MemberRequest, writes: WriteDetail[] = []) {
  const prepared = prepareMemberRequest(request, { memberId, curve: "P-384" }, 1_700_000_000);
  const { body } = finishMemberRequest(prepared, new Uint8Array(96));
  return transaction({ kind: "governance", writes, requestedBy: { memberId, request: body } });
}

const line = (of: TransactionDetail) =>
  summaryOf(of, requestOf(of), (id) => id === memberId ? "Alice" : id.slice(0, 4));
const write = (table: string, key: string, after?: string): WriteDetail => ({
  table,
  key: toUtf8(key),
  ...(after !== undefined && { after: toUtf8(after) }),
});

Deno.test("what a member asked for is told by what was signed", () => {
  assert.equal(
    line(
      requested({
        kind: "proposal",
        proposal: toUtf8('{"actions":[{"name":"set_user","args":{}},{"name":"remove_user","args":{}}]}'),
      }),
    ),
    "Alice proposed: set_user, remove_user",
  );
  assert.equal(
    line(requested({ kind: "ballot", proposalId, ballot: PLAIN_BALLOTS.no })),
    "Alice voted no on proposal cdcdcdcd…",
  );
  assert.equal(line(requested({ kind: "withdrawal", proposalId })), "Alice withdrew proposal cdcdcdcd…");
});

Deno.test("the proposal is that of the ballot, or the one that was written", () => {
  const ballot = requested({ kind: "ballot", proposalId, ballot: PLAIN_BALLOTS.yes });
  assert.equal(proposalIdOf(ballot, requestOf(ballot)), proposalId);
  const proposed = requested({ kind: "proposal", proposal: toUtf8("{}") }, [
    write("public:ccf.gov.proposals", "ee", "{}"),
  ]);
  assert.equal(proposalIdOf(proposed, requestOf(proposed)), "ee");
  assert.equal(proposalIdOf(transaction({}), undefined), undefined);
});

Deno.test("nodes and the service are told by what their rows became", () => {
  assert.equal(
    line(
      transaction({
        kind: "reconfiguration",
        writes: [write("public:ccf.gov.nodes.info", "1234ff", '{"status":"Trusted"}')],
      }),
    ),
    "Node 1234 became Trusted",
  );
  assert.equal(
    line(transaction({ kind: "governance", writes: [write("public:ccf.gov.service.info", "x", '{"status":"Open"}')] })),
    "The service's status became Open",
  );
});

Deno.test("other writes are counted, private ones are said to be there", () => {
  const writes = [write("public:a", "k", "v"), write("public:a", "l")];
  assert.equal(line(transaction({ writes, tables: ["public:a"] })), "Wrote 1 key and removed 1 key of public:a");
  assert.equal(line(transaction({ hasPrivate: true })), "Wrote private tables, which only the service can read");
  assert.equal(line(transaction({})), "Wrote nothing");
});

Deno.test("a request that is none is left to the writes", () => {
  const odd = transaction({
    kind: "governance",
    requestedBy: { memberId, request: new Uint8Array([1, 2]) },
    writes: [write("public:a", "k", "v")],
    tables: ["public:a"],
  });
  assert.equal(line(odd), "Wrote 1 key of public:a");
});

Deno.test("a signature is told by the node that made it", () => {
  const writes = [write("public:ccf.internal.signatures", "x", '{"node":"1234ff","seqno":14}')];
  assert.equal(line(transaction({ kind: "signature", writes })), "A signature by node 1234 over everything before it");
});
