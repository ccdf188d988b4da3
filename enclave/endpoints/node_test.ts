import { strict as assert } from "node:assert";
import { type NodeInfo, NODES_INFO, SERVICE_INFO, SERVICE_PREVIOUS_IDENTITY } from "../../shared/governance/tables.ts";
import { bodyText, odataError, serviceTest } from "../../tests/inline_app.ts";
import type { InlineService } from "../../tests/inline_service.ts";

type Json = Record<string, unknown>;

function get({ node }: InlineService, target: string): Json {
  const response = node.request({ method: "GET", target });
  assert.equal(response.status, 200, bodyText(response));
  return JSON.parse(bodyText(response));
}

function refusal({ node }: InlineService, line: string): string {
  const [method, target] = line.split(" ") as [string, string];
  const response = node.request({ method, target });
  const { code, message } = odataError(response);
  return `${response.status} ${code} ${message}`;
}

const OTHER_ID = "ab".repeat(32);

/** Adds a second node to the table. */
function addNode({ node }: InlineService, change: Partial<NodeInfo> = {}): void {
  node.write((tx) => {
    const info: NodeInfo = {
      status: "Pending",
      encryption_pub_key: "",
      quote_info: { format: "AMD_SEV_SNP_v1", quote: "cQ==", endorsements: "ZQ==", uvm_endorsements: "dQ==" },
      rpc_interfaces: {
        a: { bind_address: "10.0.0.1:1", published_address: "host:2" },
        b: { bind_address: "[::1]:3" },
      },
      code_digest: "cd",
      node_data: { zone: 1 },
      ...change,
    };
    tx.open(NODES_INFO).put(OTHER_ID, info);
  });
}

function idsOf(listed: Json): string[] {
  return (listed.nodes as { node_id: string }[]).map(({ node_id }) => node_id).sort();
}

serviceTest("/node/state, /node/network and /node/version say where the service stands", "native", (service) => {
  const { node } = service;
  const version = node.entries.length;
  assert.deepEqual(get(service, "/node/state"), {
    last_signed_seqno: version,
    node_id: node.nodeId,
    startup_seqno: 0,
    state: "PartOfNetwork",
    stop_notice: false,
  });
  assert.deepEqual(get(service, "/node/network"), {
    current_service_create_txid: "2.1",
    current_view: 2,
    primary_id: node.nodeId,
    recovery_count: 0,
    service_certificate: node.servicePem,
    service_data: null,
    service_status: "Open",
  });
  const { ccf_version, quickjs_version, unsafe } = get(service, "/node/version");
  assert.match(String(ccf_version), /^ccf-7\.0\.0/);
  assert.match(String(quickjs_version), /^\d{4}-\d\d-\d\d$/);
  assert.equal(unsafe, false);
});

serviceTest("/node/network is 404 without a service", "native", (service) => {
  service.node.write((tx) => tx.open(SERVICE_INFO).remove());
  assert.equal(refusal(service, "GET /node/network"), "404 ResourceNotFound Service state not available.");
});

serviceTest(
  "/node/network/nodes lists nodes, and filters by one interface's published address and by status",
  "native",
  (
    service,
  ) => {
    addNode(service);
    const { nodeId } = service.node;
    const both = [nodeId, OTHER_ID].sort();
    for (
      const [query, ids] of [
        ["", both],
        ["?status=Trusted", [nodeId]],
        ["?status=Pending", [OTHER_ID]],
        ["?status=Retired", []],
        ["?host=host", [OTHER_ID]],
        ["?host=host&port=2", [OTHER_ID]],
        ["?port=2", [OTHER_ID]],
        ["?host=host&port=3", []],
        ["?host=10.0.0.1", []],
        ["?host=[::1]&port=3", [OTHER_ID]],
        ["?port=x", []],
        ["?host=host&status=Trusted", []],
      ] as const
    ) assert.deepEqual(idsOf(get(service, `/node/network/nodes${query}`)), ids, query);
    assert.equal(
      refusal(service, "GET /node/network/nodes?status=Happy"),
      "400 InvalidQueryParameterValue Query parameter 'Happy' is not a valid node status",
    );
  },
);

serviceTest("/node/network/nodes/{node_id} describes one node", "native", (service) => {
  addNode(service);
  const { node } = service;
  const address = "127.0.0.1:8000";
  const own = {
    last_written: 1,
    node_data: { name: "node0" },
    node_id: node.nodeId,
    primary: true,
    rpc_interfaces: { primary_rpc_interface: { bind_address: address, published_address: address } },
    status: "Trusted",
  };
  for (const name of [node.nodeId, "self", "primary"]) {
    assert.deepEqual(get(service, `/node/network/nodes/${name}`), own);
  }
  const other = get(service, `/node/network/nodes/${OTHER_ID}`);
  assert.deepEqual([other.primary, other.node_data, other.last_written], [false, { zone: 1 }, node.entries.length]);
  assert.equal(refusal(service, "GET /node/network/nodes/abc"), "404 ResourceNotFound Node not found");
});

serviceTest("a node is deleted once its retirement is complete", "native", (service) => {
  const path = `/node/network/nodes/${OTHER_ID}`;
  const incomplete = "400 NodeNotRetiredCommitted Node is not completely retired";
  assert.equal(refusal(service, `DELETE ${path}`), "404 ResourceNotFound No such node");
  addNode(service);
  assert.equal(refusal(service, `DELETE ${path}`), incomplete);
  addNode(service, { status: "Retired" });
  assert.equal(refusal(service, `DELETE ${path}`), incomplete);
  assert.deepEqual(get(service, "/node/network/removable_nodes"), { nodes: [] });
  addNode(service, { status: "Retired", retired_committed: true });
  assert.deepEqual(get(service, "/node/network/removable_nodes"), { nodes: [] }, "not until that is committed");
  service.node.advance(0);
  service.node.advance(1000);
  assert.deepEqual(idsOf(get(service, "/node/network/removable_nodes")), [OTHER_ID]);
  const deleted = service.node.request({ method: "DELETE", target: path });
  assert.deepEqual([deleted.status, bodyText(deleted)], [200, "true"]);
  assert.equal(refusal(service, `DELETE ${path}`), "404 ResourceNotFound No such node");
  assert.equal(refusal(service, `DELETE /node/network/nodes/${service.node.nodeId}`), incomplete);
});

serviceTest("quotes are those of trusted nodes", "native", (service) => {
  addNode(service);
  const own = get(service, "/node/quotes/self");
  assert.deepEqual(Object.keys(own), ["endorsements", "format", "measurement", "node_id", "raw"]);
  assert.deepEqual([own.format, own.node_id], ["Insecure_Virtual", service.node.nodeId]);
  assert.deepEqual(get(service, "/node/attestations/self"), own);
  assert.deepEqual(get(service, "/node/quotes"), { quotes: [own] });
  addNode(service, { status: "Trusted" });
  const { attestations } = get(service, "/node/attestations") as { attestations: Json[] };
  assert.deepEqual(attestations.find(({ node_id }) => node_id === OTHER_ID), {
    endorsements: "ZQ==",
    format: "AMD_SEV_SNP_v1",
    measurement: "cd",
    node_id: OTHER_ID,
    raw: "cQ==",
    uvm_endorsements: "dQ==",
  });
});

serviceTest("a node of a service of one is its primary, and consensus with itself", "native", (service) => {
  const { node } = service;
  const address = service.config.nodeToNodeInterface.published_address;
  for (const method of ["GET", "HEAD"]) {
    const { status, body } = node.request({ method, target: "/node/primary" });
    assert.deepEqual([status, body.length], [200, 0]);
  }
  assert.equal(refusal(service, "GET /node/backup"), "404 ResourceNotFound Node is not backup");
  assert.deepEqual(get(service, "/node/config"), { [node.nodeId]: { address } });
  const { details } = get(service, "/node/consensus") as { details: Json };
  assert.deepEqual(details.configs, [{ idx: 1, nodes: { [node.nodeId]: { address } }, rid: 1 }]);
  assert.deepEqual([details.leadership_state, details.primary_id], ["Leader", node.nodeId]);
});

serviceTest("what the host counts is shown as it says", "native", (service) => {
  assert.deepEqual(get(service, "/node/metrics"), { sessions: { active: 0, interfaces: {}, peak: 0 } });
  const errors = { parsing: 1, request_payload_too_large: 2, request_header_too_large: 3 };
  const interfaces = { a: { active: 1, peak: 2, soft_cap: 3, hard_cap: 4, errors } };
  const sessions = { active: 5, peak: 6, interfaces };
  service.node.send({ kind: "metrics", sessions, heapBytes: { current: 1, peak: 2, max: 3 } });
  assert.deepEqual(get(service, "/node/metrics"), { sessions });
  assert.deepEqual(get(service, "/node/memory"), {
    current_allocated_heap_size: 1,
    max_total_heap_size: 3,
    peak_allocated_heap_size: 2,
  });
});

serviceTest("a service that recovered another says which", "native", (service) => {
  const target = "/node/service/previous_identity";
  const nothing = "404 ResourceNotFound This service is not a recovery of a previous service.";
  assert.equal(refusal(service, `GET ${target}`), nothing);
  service.node.write((tx) => tx.open(SERVICE_PREVIOUS_IDENTITY).put("PEM"));
  assert.deepEqual(get(service, target), { previous_service_identity: "PEM" });
});

serviceTest("what only nodes may ask is refused to everybody else", "native", (service) => {
  assert.equal(refusal(service, "POST /node/create"), "403 InternalError Node is not in initial state.");
  for (const path of ["/node/jwt_keys/refresh", "/node/network/nodes/set_retired_committed"]) {
    assert.equal(refusal(service, `POST ${path}`), "401 InvalidAuthenticationInfo Invalid authentication credentials.");
  }
});

// ---- What every frontend has ----

serviceTest("/commit answers the last committed transaction, and view history on request", "native", (service) => {
  const transaction_id = `2.${service.node.entries.length}`;
  for (const frontend of ["app", "gov", "node"]) {
    const commit = (query: string) => get(service, `/${frontend}/commit${query}`);
    assert.deepEqual(commit(""), { transaction_id });
    assert.deepEqual(commit("?view_history=true"), { transaction_id, view_history: ["1.1", "2.1"] });
    assert.deepEqual(commit("?view_history_since=2"), { transaction_id, view_history: ["2.1"] });
    assert.deepEqual(commit("?view_history_since=x"), { transaction_id });
    assert.deepEqual(commit("?view_history=false&view_history_since=1"), { transaction_id });
    assert.deepEqual(commit("?view_history=true&view_history_since=2").view_history, ["1.1", "2.1"]);
  }
  const outOfRange =
    "InvalidQueryParameterValue Invalid value for view_history_since, must be in range [1, current_term]";
  assert.equal(refusal(service, "GET /commit?view_history_since=0"), `400 ${outOfRange}`);
  assert.equal(refusal(service, "GET /commit?view_history_since=3"), `404 ${outOfRange}`);
  assert.match(refusal(service, "GET /commit?view_history=yes"), /must be one of \[true, false\] when present$/);
});

serviceTest("/tx tells what became of a transaction", "native", (service) => {
  const { node, userCertificate: certificate } = service;
  const committed = node.entries.length;
  node.request({ method: "POST", target: "/log/private", body: { id: 1, msg: "x" }, certificate });
  for (
    const [id, status] of [
      [`2.${committed}`, "Committed"],
      [`2.${committed + 1}`, "Pending"],
      [`2.${committed + 2}`, "Unknown"],
      [`3.${committed + 1}`, "Unknown"],
      [`1.${committed + 1}`, "Invalid"],
      ["1.1", "Invalid"],
      ["3.1", "Invalid"],
    ] as const
  ) assert.deepEqual(get(service, `/node/tx?transaction_id=${id}`), { status, transaction_id: id });
  for (const id of ["", "2", "2.", ".2", "0.1", "1.0", "-1.-1", "2.x", "2.1.1", " 2.1"]) {
    assert.equal(
      refusal(service, `GET /node/tx?transaction_id=${encodeURIComponent(id)}`),
      `400 InvalidQueryParameterValue The value '${id}' passed as query parameter 'transaction_id' could not be converted to a valid Transaction ID.`,
    );
  }
  assert.equal(
    refusal(service, "GET /node/tx"),
    "400 InvalidQueryParameterValue Missing query parameter 'transaction_id'",
  );
});
