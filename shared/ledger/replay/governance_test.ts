import { strict as assert } from "node:assert";
import { concat, toHex, toUtf8 } from "../../bytes.ts";
import { COSE_ALGORITHMS, serialiseCoseSign1, toBeSigned, withSignature } from "../../crypto/cose.ts";
import { serialiseGovernanceRequestHeader } from "../../crypto/cose_headers.ts";
import { ecdsaSign } from "../../crypto/ecdsa.ts";
import { noblePrimitives as primitives } from "../../crypto/primitives.ts";
import { assertRefused, findingsIn } from "../../../tests/ledger_failures.ts";
import { base64Json, type Changes, type ForgedIdentity, LedgerForge } from "../../../tests/ledger_forge.ts";
import { COSE_HISTORY, PROPOSALS } from "../table_names.ts";

const PAYLOAD = toUtf8(`{"actions":[]}`);

/** A signed proposal and the tables that it leads to, given the tree that its proposer saw. */
function proposalOf(forge: LedgerForge, size: number, keyId: string, signer: ForgedIdentity) {
  const protectedBytes = serialiseGovernanceRequestHeader({
    algorithm: COSE_ALGORITHMS["P-256"],
    keyId,
    type: "proposal",
    createdAtSeconds: 1,
    proposalId: undefined,
  });
  const signature = ecdsaSign(signer.key, toBeSigned(protectedBytes, PAYLOAD));
  const message = serialiseCoseSign1(withSignature(protectedBytes, PAYLOAD, signature));
  const id = toHex(primitives.sha256(concat(forge.tree.root(size), primitives.sha256(signature))));
  const changes: Changes = {
    [COSE_HISTORY]: { [forge.member.id]: base64Json(message) },
    [PROPOSALS]: { [id]: PAYLOAD },
  };
  return { id, changes };
}

Deno.test("a replay accepts proposals under IDs made of the root their proposer saw, a little earlier too", () => {
  const forge = new LedgerForge(primitives).genesis();
  for (let n = 0; n < 3; n++) forge.write({ records: { a: String(n) } });
  forge.write(proposalOf(forge, forge.tree.size, forge.member.id, forge.member).changes);
  forge.write(proposalOf(forge, forge.tree.size - 3, forge.member.id, forge.member).changes);
  forge.sign();
  assert.deepEqual(findingsIn(primitives, forge.entries), []);
});

Deno.test("a replay refuses requests that their member did not sign, and proposals that were not signed", () => {
  assertRefused(primitives, [
    [/^3: The request of member "[0-9a-f]{64}" names another key$/, (forge) => {
      forge.genesis().write(proposalOf(forge, forge.tree.size, "abc", forge.member).changes);
    }],
    [/^3: Member "[0-9a-f]{64}" did not sign the request$/, (forge) => {
      forge.genesis().write(proposalOf(forge, forge.tree.size, forge.member.id, forge.node).changes);
    }],
    [`3: The request of member "abc" is of nobody who is known`, (forge) => {
      const { changes } = proposalOf(forge.genesis(), forge.tree.size, "abc", forge.member);
      forge.write({ ...changes, [COSE_HISTORY]: { abc: Object.values(changes[COSE_HISTORY]!)[0]! } });
    }],
    [/^3: Proposal [0-9a-f]{64} is not what its proposer signed$/, (forge) => {
      const { id, changes } = proposalOf(forge.genesis(), forge.tree.size, forge.member.id, forge.member);
      forge.write({ ...changes, [PROPOSALS]: { [id]: `{"actions":[{"name":"set_user"}]}` } });
    }],
    ["3: The proposal is filed under an ID that does not follow from its signature", (forge) => {
      const { changes } = proposalOf(forge.genesis(), forge.tree.size, forge.member.id, forge.member);
      forge.write({ ...changes, [PROPOSALS]: { ["00".repeat(32)]: PAYLOAD } });
    }],
  ]);
});
