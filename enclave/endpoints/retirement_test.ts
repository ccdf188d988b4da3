import { strict as assert } from "node:assert";
import { fromUtf8, toUtf8 } from "../../shared/bytes.ts";
import { parsePemBlock } from "../../shared/crypto/pem.ts";
import { type NodeInfo, NODES_ENDORSED_CERTIFICATES, NODES_INFO } from "../../shared/governance/tables.ts";
import { stableJson } from "../../shared/json.ts";
import type { TableWrites } from "../../shared/kv/write_set.ts";
import { LedgerEntry } from "../../shared/ledger/entry.ts";
import { bodyText, odataError, serviceTest } from "../../tests/inline_app.ts";
import type { InlineService } from "../../tests/inline_service.ts";
import { ledgerDirectory, readEntries } from "../../tests/services.ts";
import { teamTest } from "../../tests/team_data.ts";
import { recordRetirements } from "./retirement.ts";

const OTHER = "ab".repeat(32);
const THIRD = "cd".repeat(32);

function put({ node }: InlineService, id: string, change: Partial<NodeInfo>): void {
  node.write((tx) => {
    const quote_info = { format: "Insecure_Virtual", quote: "", endorsements: "" } as const;
    tx.open(NODES_INFO).put(id, { status: "Trusted", encryption_pub_key: "", quote_info, ...change });
    tx.open(NODES_ENDORSED_CERTIFICATES).put(id, "PEM");
  });
}

function commit({ node }: InlineService): void {
  node.enclave.node!.sign();
  node.send();
}

function rowOf({ node }: InlineService, id: string): NodeInfo | undefined {
  return node.enclave.node!.store.beginReadOnly().open(NODES_INFO).get(id);
}

function record(service: InlineService): boolean {
  const recorded = recordRetirements(service.node.enclave.node!);
  service.node.send();
  return recorded;
}

function removable({ node }: InlineService): string[] {
  const response = node.request({ method: "GET", target: "/node/network/removable_nodes" });
  assert.equal(response.status, 200, bodyText(response));
  return JSON.parse(bodyText(response)).nodes.map(({ node_id }: { node_id: string }) => node_id).sort();
}

function deletion({ node }: InlineService, id: string): string {
  const response = node.request({ method: "DELETE", target: `/node/network/nodes/${id}` });
  return response.status === 200 ? bodyText(response) : odataError(response).code;
}

/** Tables that the newest entry wrote. */
function newestTables({ node }: InlineService): readonly TableWrites[] {
  return LedgerEntry.parse(node.entries.at(-1)!).publicTables();
}

serviceTest("a retirement is recorded once it is committed, and once only", "native", (service) => {
  put(service, OTHER, { status: "Retired" });
  put(service, THIRD, { status: "Pending" });
  const { length } = service.node.entries;
  assert.equal(record(service), false, "it is not committed");
  assert.equal(service.node.entries.length, length);
  commit(service);
  assert.equal(record(service), true);
  assert.equal(rowOf(service, OTHER)!.retired_committed, true);
  assert.equal(rowOf(service, THIRD)!.retired_committed, undefined);
  assert.deepEqual(newestTables(service).map(({ name }) => name), [NODES_INFO.name]);
  assert.equal(record(service), false);
  commit(service);
  assert.equal(record(service), false);
});

serviceTest("several retirements are recorded in one transaction", "native", (service) => {
  put(service, OTHER, { status: "Retired" });
  put(service, THIRD, { status: "Retired", node_data: { kept: true } });
  commit(service);
  assert.equal(record(service), true);
  assert.equal(newestTables(service)[0]!.writes.length, 2);
  assert.deepEqual(rowOf(service, THIRD)!.node_data, { kept: true });
});

serviceTest("a row that is not one of a node does not keep others from retiring", "native", (service) => {
  put(service, OTHER, { status: "Retired" });
  service.node.write((tx) => tx.openRaw(NODES_INFO.name).put(THIRD, new Uint8Array([1])));
  commit(service);
  assert.equal(record(service), true);
  assert.equal(rowOf(service, OTHER)!.retired_committed, true);
});

serviceTest("a node may be deleted when the record of its retirement is committed", "native", (service) => {
  assert.equal(deletion(service, OTHER), "ResourceNotFound");
  put(service, OTHER, { status: "Retired" });
  assert.equal(deletion(service, OTHER), "NodeNotRetiredCommitted");
  commit(service);
  record(service);
  assert.equal(deletion(service, OTHER), "NodeNotRetiredCommitted", "a later primary may not know of it");
  assert.deepEqual(removable(service), []);
  commit(service);
  assert.deepEqual(removable(service), [OTHER]);
  assert.equal(deletion(service, OTHER), "true");
  assert.deepEqual(
    newestTables(service).map(({ name, writes, removes }) => [name, writes.length, removes.length]),
    [[NODES_ENDORSED_CERTIFICATES.name, 0, 1], [NODES_INFO.name, 0, 1]],
    "nothing of it is left",
  );
  assert.equal(rowOf(service, OTHER), undefined);
  assert.deepEqual(removable(service), [], "also before that is committed");
  assert.equal(deletion(service, OTHER), "ResourceNotFound");
  commit(service);
  assert.equal(record(service), false, "what is gone is not marked again");
  assert.equal(deletion(service, service.node.nodeId), "NodeNotRetiredCommitted");
});

serviceTest("nodes of the service may ask for the record, and nobody else", "native", (service) => {
  put(service, OTHER, { status: "Retired" });
  commit(service);
  const request = { method: "POST", target: "/node/network/nodes/set_retired_committed" };
  const stranger = { ...request, certificate: service.userCertificate };
  for (const other of [request, stranger]) {
    const { code } = odataError(service.node.request(other));
    assert.equal(code, "InvalidAuthenticationInfo");
  }
  assert.equal(rowOf(service, OTHER)!.retired_committed, undefined);
  const { identity } = service.node.enclave.node!;
  const certificate = parsePemBlock(identity.selfSignedPem, "CERTIFICATE");
  for (let times = 0; times < 2; times++) {
    const response = service.node.request({ ...request, certificate });
    assert.deepEqual([response.status, response.body.length], [204, 0]);
    assert.equal(rowOf(service, OTHER)!.retired_committed, true);
  }
});

teamTest("rows of real retired nodes have the mark where ours put it", () => {
  const rows = new Map<string, string>();
  let marked = 0;
  for (const bytes of readEntries(ledgerDirectory("recorded_nodes/node1"))) {
    const entry = LedgerEntry.parse(bytes);
    for (const { writes } of entry.publicTables().filter(({ name }) => name === NODES_INFO.name)) {
      for (const [key, value] of writes) {
        const before = rows.get(key), now = fromUtf8(value);
        rows.set(key, now);
        if (!now.includes(`"retired_committed":true`)) continue;
        marked++;
        const ours = { ...NODES_INFO.value.decode(toUtf8(before!)), retired_committed: true };
        assert.equal(stableJson(ours), now);
      }
    }
  }
  assert.equal(marked, 2);
});
