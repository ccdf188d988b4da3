import { strict as assert } from "node:assert";
import { FormatError } from "../../../shared/assert.ts";
import { toUtf8 } from "../../../shared/bytes.ts";
import { NODES_INFO } from "../../../shared/governance/tables.ts";
import type { KeyVersion, TrustHistory } from "../../ledger/protocol.ts";
import {
  datesOf,
  discrepancies,
  isSilent,
  nodeEvents,
  type NodeFacts,
  parseSaidConsensus,
  parseSaidNodes,
  type SaidNode,
} from "./node_facts.ts";

const DAY_MS = 24 * 3600 * 1000;

const node = (id: string, status: NodeFacts["status"], name?: string): NodeFacts => ({
  id,
  name,
  status,
  isRetiredCommitted: false,
  format: "Insecure_Virtual",
  nodeAddress: undefined,
  interfaces: [],
  writtenAt: 1,
  certificate: undefined,
});
const said = (node_id: string, status: string): SaidNode => ({ node_id, status, primary: false });

Deno.test("discrepancies() finds a node that is left out, made up, or said to be in another state", () => {
  const nodes = [node("a", "Trusted", "node0"), node("b", "Retired")];
  assert.deepEqual(discrepancies(nodes, [said("a", "Trusted"), said("b", "Retired")]), []);
  assert.deepEqual(discrepancies(nodes, [said("b", "Trusted"), said("c", "Trusted")]), [
    "The node leaves out node0, which is Trusted in the ledger",
    "The node says that b… is Trusted, and it is Retired in the ledger",
    "The node names c… as Trusted, and the ledger has no such node",
  ]);
});

Deno.test("datesOf() warns a month before a certificate ends", () => {
  const state = (begin: number, end: number) => datesOf({ notBeforeMs: begin, notAfterMs: end }, 0).state;
  assert.equal(state(-DAY_MS, 31 * DAY_MS), "valid");
  assert.equal(state(-DAY_MS, 29 * DAY_MS), "ends soon");
  assert.equal(state(-DAY_MS, -1), "ended");
  assert.equal(state(1, 31 * DAY_MS), "not yet");
});

Deno.test("parseSaidConsensus() reads a primary's answer and a backup's, and refuses another form", () => {
  const primary = parseSaidConsensus({
    details: {
      acks: { b: { last_received_ms: 9000, seqno: 26 }, c: { last_received_ms: 12, seqno: 26 } },
      configs: [{ idx: 1, nodes: { a: { address: "x" } }, rid: 1 }, { idx: 5, nodes: { a: {}, b: {}, c: {} }, rid: 5 }],
      current_view: 2,
      leadership_state: "Leader",
      primary_id: "a",
    },
  });
  assert.deepEqual([primary.primaryId, primary.view, primary.members], ["a", 2, ["a", "b", "c"]]);
  assert(isSilent(primary, "b") && !isSilent(primary, "c") && !isSilent(primary, "a"));
  const backup = parseSaidConsensus({
    details: {
      acks: { a: { last_received_ms: 0, seqno: 0 } },
      current_view: 2,
      leadership_state: "Follower",
      primary_id: null,
    },
  });
  assert.equal(backup.primaryId, undefined);
  assert(!isSilent(backup, "a"));
  assert.throws(() => parseSaidConsensus({ details: {} }), FormatError);
  assert.throws(() => parseSaidNodes({ nodes: [{ node_id: 1 }] }), FormatError);
});

Deno.test("nodeEvents() tells how a node came and went, and by whom, newest first", async () => {
  const row = (status: string, extra: object = {}) =>
    toUtf8(JSON.stringify({
      quote_info: { format: "Insecure_Virtual", quote: "", endorsements: "" },
      encryption_pub_key: "",
      status,
      ...extra,
    }));
  assert.equal(NODES_INFO.value.decode(row("Trusted")).status, "Trusted");
  const version = (seqno: number, value: Uint8Array | undefined): KeyVersion => ({
    seqno,
    txId: `2.${seqno}`,
    ...(value !== undefined && { value }),
  });
  const versions = [
    version(9, undefined),
    version(8, row("Retired", { retired_committed: true })),
    version(7, row("Retired")),
    version(6, row("Trusted")),
    // Something about it that is not its state.
    version(5, row("Trusted", { ledger_secret_seqno: 1 })),
    version(4, row("Trusted")),
    version(3, row("Pending")),
  ];
  const trust: TrustHistory = {
    policyChanges: [],
    admissions: [{
      nodeId: "n",
      registeredAt: { view: 2, seqno: 3 },
      registeredBy: { kind: "node" },
      trusted: { at: { view: 2, seqno: 4 }, by: { kind: "genesis" } },
      status: "removed",
      problems: [],
    }],
  };
  const events = await nodeEvents({ history: () => Promise.resolve(versions) }, ["n"], trust);
  assert.deepEqual(events.map(({ seqno, what, by }) => [seqno, what, by?.kind]), [
    [9, "was removed from the table", undefined],
    [8, "may be switched off", undefined],
    [7, "was retired", undefined],
    [4, "became Trusted", "genesis"],
    [3, "asked to join (Pending)", "node"],
  ]);
});
