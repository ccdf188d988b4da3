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
import { type Exchange, methodAndTarget, readTranscript, seqnoOf, TranscriptNode, translated } from "./transcripts.ts";
import { assertAgrees } from "./transcripts_comparison.ts";

const TRANSCRIPTS = ["one_node_open", "one_node_get", "one_node_errors", "one_node_proposals"] as const;

/** Lines that cannot agree yet, by the piece of work that brings what they need. */
const NOT_YET: readonly NotYet[] = [
  {
    in: "one_node_get",
    lines: [81, 83],
    brings: "governance",
    for: "the documents of each api-version are Microsoft's",
  },
  // Apps: the rest of what an application may ask for.
  { in: "one_node_get", lines: [109], brings: "apps", for: "mode historical" },
  { in: "one_node_errors", lines: range(134, 139), brings: "apps", for: "policy jwt" },
  { in: "one_node_errors", lines: range(146, 157), brings: "apps", for: "policy jwt among others" },
  { in: "one_node_errors", lines: range(170, 186), brings: "apps", for: "policy jwt" },
  { in: "one_node_errors", lines: [201], brings: "apps", for: "policy jwt among others" },
];

interface NotYet {
  readonly in: typeof TRANSCRIPTS[number];
  /** From 1, as an editor counts them. */
  readonly lines: readonly number[];
  readonly brings: "governance" | "apps";
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

teamTest("What members decide is in the ledger as the recorded node wrote it", async () => {
  const asked = new TranscriptNode(await loadNativePowers());
  const compared = ["one_node_open", "one_node_get", "one_node_errors", "one_node_proposals"] as const;
  for (const name of compared) for (const exchange of readTranscript(name)) replay(asked, exchange);
  let count = 0;
  asked.node.entries.forEach((entry, i) => {
    const recorded = asked.recorded.get(i + 1);
    if (recorded === undefined) return;
    const ours = LedgerEntry.parse(entry).publicTables();
    if (recorded.some(({ name }) => name.startsWith("public:ccf.internal.") && !OF_ONE_SERVICE.has(name))) return;
    count++;
    assert.deepEqual(readable(ours, asked), readable(recorded, asked), `transaction ${i + 1}`);
  });
  assert(count > 20, "most transactions are compared");
});

/** Different in every service: of these the names of their members alone are compared. */
const OF_ONE_SERVICE = new Set([
  "public:ccf.gov.nodes.endorsed_certificates",
  "public:ccf.gov.nodes.info",
  "public:ccf.gov.service.info",
  "public:ccf.internal.historical_encrypted_ledger_secret",
  "public:ccf.internal.previous_service_identity_endorsement",
  "public:ccf.internal.recovery_shares",
]);
/** Made of signatures, or by each engine in its own way: of these only the number of rows is compared. */
const MADE_ANEW = new Set([
  "public:ccf.gov.cose_history",
  "public:ccf.gov.cose_recent_proposals",
  "public:ccf.gov.modules_quickjs_bytecode",
  "public:ccf.gov.modules_quickjs_version",
]);

/** Tables as text in which what has another name in our service has ours. */
function readable(tables: readonly TableWrites[], { translation }: TranscriptNode): unknown {
  return tables.map(({ name, writes, removes }) => ({
    name,
    writes: MADE_ANEW.has(name) ? writes.length : writes.map(([key, value]) => {
      const text = translated(fromUtf8Lenient(value), translation);
      if (OF_ONE_SERVICE.has(name)) return shapeOf(text);
      return [translated(fromUtf8Lenient(fromByteString(key)), translation), text.replace(ACK, "$1")];
    }),
    removes: removes.map((key) => translated(fromUtf8Lenient(fromByteString(key)), translation)),
  }));
}

/** A member's signed acknowledgement, and what stands before it. */
const ACK = /("cose_sign1_req":)"[^"]*"/;

function shapeOf(text: string): string {
  return text.startsWith("{") ? Object.keys(JSON.parse(text)).join(" ") : text.split("\n", 1)[0]!;
}
