/**
 * Every HTTP exchange recorded from a real CCF node, asked again of a node of ours.
 *
 * What is not there yet stands in a list with the reason. The list may only shrink: a line on it that agrees fails.
 */

import { strict as assert } from "node:assert";
import { fromByteString, fromUtf8Lenient } from "../shared/bytes.ts";
import type { TableWrites } from "../shared/kv/write_set.ts";
import { LedgerEntry } from "../shared/ledger/entry.ts";
import { loadNativePowers } from "../enclave/native_powers.ts";
import { teamTest } from "./team_data.ts";
import { type Exchange, methodAndTarget, readTranscript, seqnoOf, TranscriptNode } from "./transcripts.ts";
import { assertAgrees } from "./transcripts_comparison.ts";

const TRANSCRIPTS = ["one_node_open", "one_node_get", "one_node_errors", "one_node_proposals"] as const;

/** Lines that cannot agree yet, by the piece of work that brings what they need. */
const NOT_YET: readonly NotYet[] = [
  // Governance: what members send in COSE, the proposals that come of it, and what an accepted one does.
  { in: "one_node_open", lines: range(10, 19), brings: "governance", for: "members' requests" },
  { in: "one_node_get", lines: [33], brings: "governance", for: "set_js_app compiles ahead, and js_metrics says so" },
  {
    in: "one_node_get",
    lines: [81, 83],
    brings: "governance",
    for: "the documents of each api-version are Microsoft's",
  },
  { in: "one_node_errors", lines: [74], brings: "governance", for: "a route that members alone use" },
  { in: "one_node_errors", lines: range(202, 222), brings: "governance", for: "members' requests" },
  { in: "one_node_proposals", lines: range(1, 59), brings: "governance", for: "proposals and ballots" },
  // Apps: the rest of what an application may ask for.
  { in: "one_node_get", lines: [109], brings: "apps", for: "mode historical" },
  { in: "one_node_errors", lines: range(134, 139), brings: "apps", for: "policy jwt" },
  { in: "one_node_errors", lines: range(140, 145), brings: "apps", for: "policy user_cose_sign1" },
  { in: "one_node_errors", lines: range(146, 157), brings: "apps", for: "policy jwt among others" },
  { in: "one_node_errors", lines: range(170, 186), brings: "apps", for: "policy jwt" },
  { in: "one_node_errors", lines: range(187, 201), brings: "apps", for: "policy user_cose_sign1" },
  // Network: more than one node.
  { in: "one_node_errors", lines: range(92, 97), brings: "network", for: "POST /node/join" },
];

interface NotYet {
  readonly in: typeof TRANSCRIPTS[number];
  /** From 1, as an editor counts them. */
  readonly lines: readonly number[];
  readonly brings: "governance" | "apps" | "network";
  readonly for: string;
}

function range(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, i) => first + i);
}

teamTest("A node of ours answers as the recorded one did", async () => {
  const reasons = new Map(
    NOT_YET.flatMap((item) => item.lines.map((line) => [`${item.in} ${line}`, `${item.brings}: ${item.for}`])),
  );
  assert.equal(reasons.size, NOT_YET.reduce((sum, { lines }) => sum + lines.length, 0), "no line is listed twice");
  const asked = new TranscriptNode(await loadNativePowers());
  const problems: string[] = [];
  for (const name of TRANSCRIPTS) {
    readTranscript(name).forEach((exchange, i) => {
      const line = `${name} ${i + 1}`;
      const reason = reasons.get(line);
      reasons.delete(line);
      const difference = replay(asked, exchange);
      if (reason === undefined && difference !== undefined) {
        problems.push(`${line}, ${exchange.request.line}: ${difference}`);
      }
      if (reason !== undefined && difference === undefined) {
        problems.push(`${line}, ${exchange.request.line}, agrees: take it off the list (${reason})`);
      }
    });
    if (name === "one_node_open") asked.open();
  }
  for (const line of reasons.keys()) problems.push(`The list names ${line}, which does not exist`);
  assert.equal(problems.length, 0, problems.join("\n\n"));
});

/** How our answer differs from the recorded one, if it does. */
function replay(asked: TranscriptNode, exchange: Exchange): string | undefined {
  const time = /Current time (\d+) is/.exec(exchange.response.body ?? "")?.[1];
  if (time !== undefined) asked.node.nowMs = Number(time) * 1000;
  // Where the recorded node has signed in between, so does ours.
  const isWrite = methodAndTarget(exchange)[0] !== "GET";
  if (seqnoOf(exchange.response) === asked.version + (isWrite ? 2 : 1)) asked.sign();
  try {
    assertAgrees(exchange, asked.ask(exchange), asked.translation);
    return undefined;
  } catch (error) {
    if (!(error instanceof assert.AssertionError)) throw error;
    return error.message;
  }
}

teamTest("A service of ours starts and opens with the tables of the recorded one", async () => {
  const asked = new TranscriptNode(await loadNativePowers());
  asked.node.send({ kind: "openService", opening: asked.opening() });
  const ours = asked.node.entries.map((entry) => LedgerEntry.parse(entry).publicTables());

  const ofOneService = new Set([
    "public:ccf.gov.nodes.endorsed_certificates",
    "public:ccf.gov.nodes.info",
    "public:ccf.gov.service.info",
    "public:ccf.internal.previous_service_identity_endorsement",
    "public:ccf.internal.recovery_shares",
  ]);
  assert.deepEqual(readable(ours[0]!, ofOneService), readable(asked.recorded.get(1)!, ofOneService));

  // Members did more than what opening stands for, and their app was compiled ahead.
  const besides = new Set([
    "public:ccf.gov.cose_history",
    "public:ccf.gov.jwt.issuers",
    "public:ccf.gov.jwt.public_signing_keys_metadata_v2",
    "public:ccf.gov.modules_quickjs_bytecode",
    "public:ccf.gov.modules_quickjs_version",
    "public:ccf.gov.proposals_info",
    "public:ccf.gov.tls.ca_cert_bundles",
  ]);
  const acknowledged = new Set(["public:ccf.gov.members.acks", "public:ccf.gov.members.info"]);
  assert.deepEqual(
    readable(ours[2]!.filter(({ name }) => !acknowledged.has(name)), ofOneService),
    readable(asked.recorded.get(12)!.filter(({ name }) => !besides.has(name)), ofOneService),
  );
});

/** Tables as text; of those that are different in every service the names of their members alone. */
function readable(tables: readonly TableWrites[], ofOneService: ReadonlySet<string>): unknown {
  return tables.map(({ name, writes, removes }) => ({
    name,
    writes: writes.map(([key, value]) => {
      const text = fromUtf8Lenient(value);
      return ofOneService.has(name) ? shapeOf(text) : [fromUtf8Lenient(fromByteString(key)), text];
    }),
    removes,
  }));
}

function shapeOf(text: string): string {
  return text.startsWith("{") ? Object.keys(JSON.parse(text)).join(" ") : text.split("\n", 1)[0]!;
}
