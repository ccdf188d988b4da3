import { strict as assert } from "node:assert";
import { fromHex, fromUtf8, toHex, toUtf8 } from "../../shared/bytes.ts";
import { parsePemBlock } from "../../shared/crypto/pem.ts";
import { parseCertificatePem } from "../../shared/crypto/x509.ts";
import { NODES_ENDORSED_CERTIFICATES, NODES_INFO } from "../../shared/governance/tables.ts";
import { LedgerEntry } from "../../shared/ledger/entry.ts";
import { bodyText } from "../../tests/inline_app.ts";
import { type InlineService, startInlineService } from "../../tests/inline_service.ts";
import { decide } from "../../tests/members.ts";
import { ledgerDirectory, readEntries } from "../../tests/services.ts";
import { teamData, teamTest } from "../../tests/team_data.ts";
import { type Exchange, methodAndTarget, readTranscript } from "../../tests/transcripts.ts";

interface Recorded {
  readonly service: InlineService;
  readonly exchanges: readonly Exchange[];
  readonly joinerPem: string;
}

/** A service of ours in the place of the recorded one: with the address of its first node, and the code it ran. */
async function recordedService(): Promise<Recorded> {
  const exchanges = readTranscript("join");
  const { quote_info } = JSON.parse(exchanges[10]!.request.body!);
  const { host_data: hostData } = JSON.parse(atob(quote_info.quote));
  const address = "127.0.0.1:22501";
  const workspace = await Deno.makeTempDir({ prefix: "quorate_join_" });
  try {
    const service = await startInlineService(workspace, "native", {
      platform: { kind: "virtual", hostData },
      change: { nodeToNodeInterface: { bind_address: address, published_address: address } },
    });
    const joinerPem = Deno.readTextFileSync(teamData("ccf/testdata/recorded_join/common/joiner0_cert.pem"));
    return { service, exchanges, joinerPem };
  } finally {
    await Deno.remove(workspace, { recursive: true });
  }
}

/** What is one service's own, taken out of an answer. */
function comparable(body: string): unknown {
  return JSON.parse(body, (name, value) => {
    if (["cert", "priv_key", "endorsed_certificate", "raw_key", "issuer", "last_written"].includes(name)) {
      return typeof value;
    }
    if (name !== "message") return value;
    return value.replace(/n\[[0-9a-f]{64}\]/, "n[]");
  });
}

teamTest("join requests are answered as a real node answered them", async () => {
  const { service, exchanges, joinerPem } = await recordedService();
  const certificate = parsePemBlock(joinerPem, "CERTIFICATE");
  const compared: string[] = [];
  for (const exchange of exchanges) {
    const { note, request, response } = exchange;
    if (note === "after transition_node_to_trusted") trustRecorded(service, exchanges);
    if (note === "rekey with the joiner trusted") decide(service, { name: "trigger_ledger_rekey" });
    const looks = request.line.startsWith("GET ") && request.line.includes("/nodes/964fa067");
    if (!looks && !request.line.startsWith("POST /node/join ")) continue;
    // Recorded without a certificate is what OpenSSL said; on a backup, that it had started from a snapshot.
    if (note === "no client certificate" || note === "join request to a backup") continue;
    const [method, target] = methodAndTarget(exchange);
    const { headers, body } = request;
    const ours = service.node.request({ method, target, headers, body, certificate });
    assert.equal(ours.status, response.status, note);
    assert.deepEqual(comparable(bodyText(ours)), comparable(response.body!), note);
    const names = (headers: readonly (readonly [string, string])[]) =>
      headers.map(([name]) => name).filter((name) => name !== "content-length");
    assert.deepEqual(names(ours.headers), names(response.headers), note);
    compared.push(request.line);
  }
  assert.equal(compared.length, 14);
});

function trustRecorded(service: InlineService, exchanges: readonly Exchange[]): void {
  const proposal = exchanges.find(({ request }) => request.bodyHex?.includes(toHex(toUtf8("transition_node_to_tr"))))!;
  const envelope = new TextDecoder("latin1").decode(fromHex(proposal.request.bodyHex!));
  const { actions } = JSON.parse(/\{"actions".*\}\]\}/.exec(envelope)![0]);
  assert.equal(decide(service, ...actions).status, 200);
}

teamTest("the rows of a joining node are those of the real ledger, byte for byte", async () => {
  const { service, exchanges, joinerPem } = await recordedService();
  const joined = exchanges.find(({ note }) => note === "join request: Pending")!;
  const certificate = parsePemBlock(joinerPem, "CERTIFICATE");
  const { body } = joined.request;
  assert.equal(service.node.request({ method: "POST", target: "/node/join", body, certificate }).status, 200);
  const [pending] = rowsIn([service.node.entries.at(-1)!]);
  trustRecorded(service, exchanges);
  const [trusted] = rowsIn([service.node.entries.at(-1)!]);
  const recorded = rowsIn(readEntries(ledgerDirectory("recorded_join"))).filter(([id]) => id.startsWith("964fa067"));
  assert.deepEqual([pending, trusted], recorded);

  const [theirs, ours] = [readEntries(ledgerDirectory("recorded_join"))[28]!, service.node.entries.at(-1)!].map(
    (entry) => {
      const table = LedgerEntry.parse(entry).publicTables().find(({ name }) =>
        name === NODES_ENDORSED_CERTIFICATES.name
      );
      return parseCertificatePem(fromUtf8(table!.writes[0]![1]));
    },
  );
  assert.deepEqual([ours!.notBeforeMs, ours!.notAfterMs], [theirs!.notBeforeMs, theirs!.notAfterMs]);
  assert.deepEqual([ours!.spki, ours!.subject], [theirs!.spki, theirs!.subject]);
  assert.deepEqual(ours!.extensions.map(({ oid }) => oid), theirs!.extensions.map(({ oid }) => oid));
});

/** Rows of nodes that these entries write. */
function rowsIn(entries: readonly Uint8Array[]): [id: string, row: string][] {
  return entries.flatMap((entry) => {
    const table = LedgerEntry.parse(entry).publicTables().find(({ name }) => name === NODES_INFO.name);
    return (table?.writes ?? []).map(([id, row]): [string, string] => [id, fromUtf8(row)]);
  });
}

teamTest("what members decide of nodes is written as in real ledgers, byte for byte", async () => {
  const { service } = await recordedService();
  const decided: string[] = [];
  const rows = new Map<string, string>();
  for (const [id, row] of rowsIn(readEntries(ledgerDirectory("recorded_nodes/node1")))) {
    const before = rows.get(id);
    rows.set(id, row);
    const { status, retired_committed } = JSON.parse(row);
    if (before === undefined || retired_committed === true) continue; // asked to join; recorded by the primary
    service.node.write((tx) => tx.openRaw(NODES_INFO.name).put(id, toUtf8(before)));
    const trusts = status === "Trusted";
    const args = { node_id: id, ...(trusts && { valid_from: "2026-11-24T10:00:00.000Z" }) };
    const name = trusts ? "transition_node_to_trusted" : "remove_node";
    assert.equal(decide(service, { name, args }).status, 200);
    const [[, ours]] = rowsIn([service.node.entries.at(-1)!]) as [[string, string]];
    // Their ledger had been rekeyed by then, ours has not.
    assert.equal(ours, trusts ? row.replace(/"ledger_secret_seqno":\d+/, `"ledger_secret_seqno":1`) : row);
    decided.push(`${name} ${id.slice(0, 4)}`);
    service.node.write((tx) => tx.open(NODES_INFO).remove(id));
  }
  assert.deepEqual(decided, [
    "transition_node_to_trusted 1c83",
    "transition_node_to_trusted b6a2",
    "remove_node 238e",
    "transition_node_to_trusted b460",
    "remove_node 1c83",
  ]);
});
