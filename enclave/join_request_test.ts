import { strict as assert } from "node:assert";
import fc from "fast-check";
import { fromUtf8, toUtf8 } from "../shared/bytes.ts";
import { stableJson } from "../shared/json.ts";
import { MAX_JOIN_SECRETS, MAX_RPC_INTERFACES } from "../shared/limits.ts";
import { fuzzDecoder, mutated } from "../tests/mutations.ts";
import { teamData, teamTest } from "../tests/team_data.ts";
import { readTranscript } from "../tests/transcripts.ts";
import {
  addressRows,
  type JoinResponse,
  type NodeAddresses,
  parseJoinRequest,
  parseJoinResponse,
  serialiseJoinRequest,
  serialiseJoinResponse,
} from "./join_request.ts";

const DOOR = { bind_address: "0.0.0.0:1", published_address: "node.example.com:1" };

const REQUEST = {
  certificate_signing_request: "CSR",
  node_data: { zone: 1 },
  node_info_network: { node_to_node_interface: DOOR, rpc_interfaces: { b: DOOR, a: { bind_address: "[::1]:65535" } } },
  public_encryption_key: "KEY",
  quote_info: { endorsements: "", format: "Insecure_Virtual", quote: "e30=" },
  startup_seqno: 3,
};

const SECRET = { raw_key: `${"A".repeat(43)}=` };

const RESPONSE = {
  network_info: {
    cose_signatures_config: { issuer: "i", subject: "s" },
    endorsed_certificate: "E",
    identity: { cert: "C", priv_key: "P" },
    last_recovered_signed_idx: 0,
    ledger_secrets: [[1, SECRET], [35, { previous_secret_stored_version: 34, ...SECRET }]],
    public_only: false,
    service_status: "Open",
  },
  node_id: "ab",
  node_status: "Trusted",
};

function bytes(json: unknown): Uint8Array {
  return toUtf8(JSON.stringify(json));
}

/** The message with which a request is refused. */
function refusal(body: Uint8Array): string {
  try {
    parseJoinRequest(body);
  } catch (error) {
    assert((error as Error).name === "FormatError", String(error));
    return (error as Error).message;
  }
  assert.fail("it is not refused");
}

function refusedResponse(change: (network: Record<string, unknown>) => void): string {
  const response = structuredClone(RESPONSE);
  change(response.network_info);
  try {
    parseJoinResponse(bytes(response));
  } catch (error) {
    assert((error as Error).name === "FormatError", String(error));
    return (error as Error).message;
  }
  assert.fail("it is not refused");
}

teamTest("real join requests and answers are read, and written the same, byte for byte", () => {
  let requests = 0, answers = 0;
  for (const { request, response } of readTranscript("join")) {
    if (!request.line.startsWith("POST /node/join ")) continue;
    if (response.body!.includes("InvalidInput")) continue;
    requests++;
    const sent = JSON.parse(request.body!);
    assert.equal(fromUtf8(serialiseJoinRequest(parseJoinRequest(toUtf8(request.body!)))), stableJson(sent));
    if (response.status !== 200) continue;
    answers++;
    assert.equal(fromUtf8(serialiseJoinResponse(parseJoinResponse(toUtf8(response.body!)))), response.body);
  }
  assert.deepEqual([requests, answers], [13, 4]);
});

teamTest("the last answer of a real join tells one secret, and keys that belong to its certificates", () => {
  const file = Deno.readFileSync(teamData("ccf/testdata/recorded_join/join_response.json"));
  const { nodeStatus, nodeId, networkInfo: network } = parseJoinResponse(file);
  assert.equal(nodeStatus, "Trusted");
  assert.match(nodeId!, /^964fa06723b5e462/);
  assert.deepEqual(network!.ledgerSecrets.map(({ first, secret }) => [first, secret.length]), [[1, 32]]);
  assert.equal(network!.publicOnly, false);
  assert.match(network!.serviceKeyPem, /^-----BEGIN PRIVATE KEY-----/);
});

Deno.test("parseJoinRequest() and serialiseJoinRequest() agree, with and without what is optional", () => {
  assert.equal(fromUtf8(serialiseJoinRequest(parseJoinRequest(bytes(REQUEST)))), stableJson(REQUEST));
  const { node_data: _, startup_seqno: __, ...least } = REQUEST;
  const { node_info_network } = REQUEST;
  assert.equal(fromUtf8(serialiseJoinRequest(parseJoinRequest(bytes(least)))), stableJson(least));
  const nulls = { ...least, node_data: null, startup_seqno: null };
  assert.equal(fromUtf8(serialiseJoinRequest(parseJoinRequest(bytes(nulls)))), stableJson(least));
  const sealing = { ...REQUEST, node_info_network: { ...node_info_network, will_locally_seal_ledger_secrets: true } };
  assert.equal(fromUtf8(serialiseJoinRequest(parseJoinRequest(bytes(sealing)))), stableJson(sealing));
});

Deno.test("requests of another shape are refused, for what CCF names in its words", () => {
  const change = (path: string, value: unknown) => {
    const request = structuredClone(REQUEST) as Record<string, unknown>;
    const names = path.split("/");
    const last = names.pop()!;
    // deno-lint-ignore no-explicit-any
    const parent = names.reduce<any>((object, name) => object[name], request);
    if (value === undefined) delete parent[last];
    else parent[last] = value;
    return bytes(request);
  };
  const table: readonly [Uint8Array, string | RegExp][] = [
    [toUtf8(""), "At #/: Missing required field 'node_info_network' in object: {}"],
    [toUtf8("{}"), "At #/: Missing required field 'node_info_network' in object: {}"],
    [toUtf8("[]"), "At #/: Expected object, found: []"],
    [toUtf8("{"), /^The body is not JSON: /],
    [Uint8Array.of(0xff), /^The body is not JSON: /],
    [toUtf8(`{"a":"\\ud800"}`), /^The body is not JSON: .*half a surrogate pair/],
    [toUtf8(`${'{"a":'.repeat(600)}1${"}".repeat(600)}`), /^The body is not JSON: .*deeper/],
    [change("quote_info/format", "Nonsense"), `At #/quote_info/format: "Nonsense" is not convertible to QuoteFormat`],
    [change("quote_info/quote", undefined), /^At #\/quote_info: Missing required field 'quote' in object: \{"endorse/],
    [change("quote_info/quote", "*"), "At #/quote_info/quote: It must be base64"],
    [change("quote_info/quote", 1), /must be base64$/],
    [change("quote_info", "x"), `At #/quote_info: Expected object, found: "x"`],
    [change("node_info_network/node_to_node_interface", undefined), /^At #\/node_info_network: Missing required field/],
    [
      change("node_info_network/node_to_node_interface/bind_address", undefined),
      /Missing required field 'bind_address'/,
    ],
    [
      change("node_info_network/node_to_node_interface/published_address", undefined),
      "At #/node_info_network/node_to_node_interface: Other nodes must be told a published address",
    ],
    [change("node_info_network/rpc_interfaces", {}), /A node has 1 to 64 interfaces, not 0$/],
    [
      change(
        "node_info_network/rpc_interfaces",
        Object.fromEntries(Array.from({ length: MAX_RPC_INTERFACES + 1 }, (_, i) => [i, DOOR])),
      ),
      /not 65$/,
    ],
    [
      change("node_info_network/rpc_interfaces/a", []),
      `At #/node_info_network/rpc_interfaces/a: Expected object, found: []`,
    ],
    [change("startup_seqno", -1), /"\/startup_seqno": it must be a whole number/],
    [change("public_encryption_key", {}), /"\/public_encryption_key": it must be text/],
  ];
  for (const [body, message] of table) {
    const actual = refusal(body);
    if (typeof message === "string") assert.equal(actual, message);
    else assert.match(actual, message);
  }
  for (
    const address of ["", "host", ":1", "host:", "host:65536", "host:1e3", "a b:1", `${"h".repeat(256)}:1`, "h:-1"]
  ) {
    const door = { bind_address: "h:1", published_address: address };
    assert.match(
      refusal(change("node_info_network/node_to_node_interface", door)),
      /is no address: host:port$/,
      address,
    );
  }
  const long = refusal(toUtf8(`["${"x".repeat(100_000)}"]`));
  assert(long.length < 300, "an answer does not repeat everything");
});

Deno.test("parseJoinResponse() and serialiseJoinResponse() agree", () => {
  assert.equal(fromUtf8(serialiseJoinResponse(parseJoinResponse(bytes(RESPONSE)))), stableJson(RESPONSE));
  const pending = { node_id: "ab", node_status: "Pending" };
  assert.deepEqual(parseJoinResponse(bytes(pending)), { nodeStatus: "Pending", nodeId: "ab" });
  assert.equal(fromUtf8(serialiseJoinResponse({ nodeStatus: "Pending", nodeId: "ab" })), stableJson(pending));
  const { node_id: _, ...unnamed } = RESPONSE;
  assert.equal(parseJoinResponse(bytes(unnamed)).nodeId, undefined);
});

Deno.test("answers that cannot be used are refused, and their secrets are not repeated", () => {
  const key = `SECRET${"A".repeat(37)}=`;
  const secrets = (value: unknown) => refusedResponse((network) => network.ledger_secrets = value);
  const table: readonly [string, RegExp][] = [
    [secrets([]), /there are 0/],
    [secrets([[1, { raw_key: "AAEC" }]]), /one has not 32 bytes/],
    [secrets([[1, { raw_key: "SECRET!" }]]), /must be base64/],
    [secrets([[0, { raw_key: key }]]), /ascending/],
    [secrets([[2, { raw_key: key }], [2, { raw_key: key }]]), /ascending/],
    [secrets([[2, { raw_key: key }], [1, { raw_key: key }]]), /ascending/],
    [secrets([[1, { raw_key: key }, 3]]), /must be a pair/],
    [secrets({ 1: { raw_key: key } }), /must be an array/],
    [secrets(new Array(MAX_JOIN_SECRETS + 1).fill([1, { raw_key: key }])), /there are 100001/],
    [refusedResponse((network) => network.identity = { cert: "SECRET" }), /identity\/priv_key/],
    [refusedResponse((network) => delete network.public_only), /public_only/],
  ];
  for (const [message, pattern] of table) {
    assert.match(message, pattern);
    assert.doesNotMatch(message, /SECRET/);
  }
  assert.throws(() => parseJoinResponse(bytes({ node_status: "Trusted" })), /has no secrets for it/);
  assert.throws(() => parseJoinResponse(bytes({ node_status: "Retired" })), /node_status/);
});

Deno.test("changed requests and answers are read or refused, and what is read can be written", () => {
  fuzzDecoder(mutated(bytes(REQUEST)), parseJoinRequest, (request) => {
    assert.deepEqual(parseJoinRequest(serialiseJoinRequest(request)), request);
    addressRows(request);
  });
  fuzzDecoder(mutated(bytes(RESPONSE)), parseJoinResponse, (response) => {
    assert.deepEqual(parseJoinResponse(serialiseJoinResponse(response)), response);
  });
  const secret = fc.record({ key: fc.uint8Array({ minLength: 32, maxLength: 32 }) });
  fc.assert(
    fc.property(fc.uniqueArray(fc.integer({ min: 1 }), { minLength: 1 }), secret, fc.string({ unit: "grapheme" }), (
      seqnos,
      { key },
      nodeId,
    ) => {
      const ledgerSecrets = seqnos.sort((a, b) => a - b).map((first) => ({ first, secret: key }));
      const networkInfo = {
        publicOnly: true,
        lastRecoveredSignedSeqno: 7,
        ledgerSecrets,
        serviceCertificatePem: nodeId,
        serviceKeyPem: nodeId,
        endorsedCertificatePem: nodeId,
        coseSignatures: { issuer: nodeId, subject: nodeId },
      };
      const response: JoinResponse = { nodeStatus: "Trusted", networkInfo, ...(nodeId !== "" && { nodeId }) };
      assert.deepEqual(parseJoinResponse(serialiseJoinResponse(response)), response);
    }),
  );
});

Deno.test("addressRows() gives a node's addresses whole, and the first RPC interface in flat fields", () => {
  const addresses: NodeAddresses = {
    nodeToNodeInterface: DOOR,
    rpcInterfaces: { b: DOOR, a: { bind_address: "[::1]:8000" } },
  };
  assert.deepEqual(addressRows(addresses), {
    node_to_node_interface: DOOR,
    nodehost: "node.example.com",
    nodeport: "1",
    pubhost: "[::1]",
    pubport: "8000",
    rpc_interfaces: addresses.rpcInterfaces,
    rpchost: "[::1]",
    rpcport: "8000",
  });
  const sealing = addressRows({ ...addresses, willLocallySealLedgerSecrets: true });
  assert.equal(sealing.will_locally_seal_ledger_secrets, true);
  assert(!("will_locally_seal_ledger_secrets" in addressRows({ ...addresses, willLocallySealLedgerSecrets: false })));
});

Deno.test("addressRows() and serialiseJoinRequest() leave out operator features that CCF does not know", () => {
  const door = (...features: string[]) => ({ ...DOOR, enabled_operator_features: features });
  const rpcInterfaces = { a: door("SnapshotRead", "LedgerRead"), b: door("LedgerRead"), c: door(), d: DOOR };
  const expected = { a: door("SnapshotRead"), b: DOOR, c: door(), d: DOOR };
  assert.deepEqual(addressRows({ nodeToNodeInterface: DOOR, rpcInterfaces }).rpc_interfaces, expected);
  const request = { ...parseJoinRequest(bytes(REQUEST)), rpcInterfaces };
  assert.deepEqual(parseJoinRequest(serialiseJoinRequest(request)).rpcInterfaces, expected);
});
