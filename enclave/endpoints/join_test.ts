import { strict as assert } from "node:assert";
import fc from "fast-check";
import { fromHex, toBase64, toUtf8 } from "../../shared/bytes.ts";
import { signCertificateRequest } from "../../shared/crypto/csr.ts";
import { parsePemBlock, serialisePem } from "../../shared/crypto/pem.ts";
import { parseCertificatePem } from "../../shared/crypto/x509.ts";
import { validityOfDays } from "../../shared/crypto/x509_build.ts";
import { nameFromConfiguration } from "../../shared/crypto/x509_name.ts";
import {
  ENCRYPTED_LEDGER_SECRETS,
  type NodeInfo,
  NODES_ENDORSED_CERTIFICATES,
  NODES_INFO,
  SERVICE_INFO,
} from "../../shared/governance/tables.ts";
import { LedgerEntry } from "../../shared/ledger/entry.ts";
import {
  MAX_JOIN_REQUEST_BYTES,
  MAX_NODE_DATA_BYTES,
  MAX_NODES_BEFORE_OPENING,
  MAX_PENDING_NODES,
} from "../../shared/limits.ts";
import { bodyText, odataError, serviceTest } from "../../tests/inline_app.ts";
import type { InlineService } from "../../tests/inline_service.ts";
import { decide } from "../../tests/members.ts";
import { mutated } from "../../tests/mutations.ts";
import { createNodeIdentity, type NodeIdentity } from "../identity.ts";
import { type JoinRequest, type JoinResponse, parseJoinResponse, serialiseJoinRequest } from "../join_request.ts";
import { loadNativePowers } from "../native_powers.ts";
import { secretFromBroadcast } from "../network_secrets.ts";
import { VIRTUAL_MEASUREMENT, virtualQuote } from "../platform/virtual.ts";

const powers = await loadNativePowers();
const JOINER = { subjectName: "CN=Joiner", subjectAltNames: ["dNSName:joiner"], curve: "P-384" } as const;
const MADE_MS = Date.UTC(2026, 10, 24, 10);

function makeJoiner(): NodeIdentity {
  const config = { ...JOINER, initialValidityDays: 3, data: null };
  return createNodeIdentity(config, validityOfDays(MADE_MS, 3), powers);
}

// Keys take long to make: one joiner, and one whom it must not be taken for.
const joiner = makeJoiner();
const other = makeJoiner();

const hash = (identity: NodeIdentity) => powers.primitives.sha256(identity.key.publicKey.spki);
const nodeOf = ({ node }: InlineService) => node.enclave.node!;
const reader = (service: InlineService) => nodeOf(service).store.beginReadOnly();
const rowOf = (service: InlineService, { id }: NodeIdentity) => reader(service).open(NODES_INFO).get(id);

function requestOf(service: InlineService, identity: NodeIdentity, change: Partial<JoinRequest> = {}): JoinRequest {
  const address = { bind_address: "0.0.0.0:1", published_address: `joiner-${identity.id.slice(0, 8)}:9` };
  return {
    nodeToNodeInterface: address,
    rpcInterfaces: { primary_rpc_interface: address },
    quoteInfo: {
      format: "Insecure_Virtual",
      quote: virtualQuote(service.config.platform.hostData, hash(identity)),
      endorsements: "",
    },
    encryptionPublicKeyPem: identity.encryption.publicKeyPem,
    certificateSigningRequestPem: identity.requestPem,
    startupSeqno: 0,
    ...change,
  };
}

function ask(service: InlineService, identity: NodeIdentity | undefined, body: Uint8Array) {
  const certificate = identity && { certificate: parsePemBlock(identity.selfSignedPem, "CERTIFICATE") };
  return service.node.request({ method: "POST", target: "/node/join", body, ...certificate });
}

function join(service: InlineService, identity = joiner, change: Partial<JoinRequest> = {}): JoinResponse {
  const response = ask(service, identity, serialiseJoinRequest(requestOf(service, identity, change)));
  assert.equal(response.status, 200, bodyText(response));
  return parseJoinResponse(response.body);
}

/** Asks, is refused, and leaves nothing. */
function refusal(service: InlineService, change: Partial<JoinRequest> = {}, identity = joiner): string {
  const { length } = service.node.entries;
  const response = ask(service, identity, serialiseJoinRequest(requestOf(service, identity, change)));
  const { code, message } = odataError(response);
  assert.equal(service.node.entries.length, length, "nothing is written");
  return `${response.status} ${code} ${message}`;
}

function quote(claims: unknown): Pick<JoinRequest, "quoteInfo"> {
  const text = typeof claims === "string" ? claims : JSON.stringify(claims);
  return { quoteInfo: { format: "Insecure_Virtual", quote: toBase64(toUtf8(text)), endorsements: "" } };
}

function trust(service: InlineService, { id }: NodeIdentity): void {
  const args = { node_id: id, valid_from: "2026-11-24T10:00:00.000Z", validity_period_days: 30 };
  const { status, json } = decide(service, { name: "transition_node_to_trusted", args });
  assert.deepEqual([status, json.proposalState], [200, "Accepted"]);
}

function as<K extends string>(service: InlineService, name: K, value: unknown): void {
  Object.defineProperty(nodeOf(service), name, { get: () => value, configurable: true });
}

serviceTest("before a service is open, nodes are trusted at once", "native", (service) => {
  const { nodeStatus, nodeId, networkInfo } = join(service);
  assert.deepEqual([nodeStatus, nodeId], ["Trusted", joiner.id]);
  const row = rowOf(service, joiner)!;
  assert.deepEqual([row.status, row.ledger_secret_seqno, row.public_key], ["Trusted", 1, joiner.publicKeyPem]);
  const latest = nodeOf(service).path.secrets.latest()!;
  assert.deepEqual(networkInfo!.ledgerSecrets, [{ first: 1, secret: latest.secret.key }]);
  assert.equal(networkInfo!.serviceCertificatePem, service.node.servicePem);
  assert.deepEqual(networkInfo!.coseSignatures, service.config.service.coseSignatures);
  assert.equal(networkInfo!.serviceStatus, "Opening");

  const endorsed = parseCertificatePem(networkInfo!.endorsedCertificatePem);
  const own = parseCertificatePem(joiner.selfSignedPem);
  assert.deepEqual([endorsed.notBeforeMs, endorsed.notAfterMs], [own.notBeforeMs, own.notAfterMs]);
  assert.deepEqual(endorsed.spki, own.spki);
  const issued = reader(service).open(NODES_ENDORSED_CERTIFICATES).get(joiner.id);
  assert.equal(issued, networkInfo!.endorsedCertificatePem);

  const { length } = service.node.entries;
  assert.deepEqual(join(service), { nodeStatus: "Trusted", networkInfo }, "it is told again, without its ID");
  assert.equal(service.node.entries.length, length);
}, { closed: true });

serviceTest("before a service is open, a retired node stays retired", "native", (service) => {
  join(service);
  service.node.write((tx) => tx.open(NODES_INFO).put(joiner.id, { ...rowOf(service, joiner)!, status: "Retired" }));
  assert.equal(refusal(service), "400 InvalidNodeState Joining node is not in expected state (Retired).");
}, { closed: true });

serviceTest("members of an open service trust a node before it is told anything", "native", (service) => {
  assert.deepEqual(join(service, joiner, { nodeData: { zone: 1 } }), { nodeStatus: "Pending", nodeId: joiner.id });
  const row = rowOf(service, joiner)!;
  assert.deepEqual([row.status, row.node_data, "ledger_secret_seqno" in row], ["Pending", { zone: 1 }, false]);
  const { length } = service.node.entries;
  assert.deepEqual(join(service, joiner, { nodeData: 7 }), { nodeStatus: "Pending", nodeId: joiner.id });
  assert.equal(service.node.entries.length, length, "asking again changes nothing");

  trust(service, joiner);
  const { nodeStatus, nodeId, networkInfo } = join(service);
  assert.deepEqual([nodeStatus, nodeId], ["Trusted", joiner.id]);
  const endorsed = parseCertificatePem(networkInfo!.endorsedCertificatePem);
  assert.equal(endorsed.notBeforeMs, MADE_MS);
  assert.equal(endorsed.notAfterMs, MADE_MS + 30 * 86_400_000 - 1000);
  assert.deepEqual(networkInfo!.ledgerSecrets.map(({ first }) => first), [1]);
});

serviceTest("secrets of after a node was trusted reach it through the ledger alone", "native", (service) => {
  join(service);
  trust(service, joiner);
  join(service, other);
  const { secrets } = nodeOf(service).path;
  for (let rekeys = 0; rekeys < 2; rekeys++) {
    assert.equal(decide(service, { name: "trigger_ledger_rekey" }).status, 200);
    const entry = LedgerEntry.parse(service.node.entries.at(-1)!);
    const changes = entry.publicTables().find(({ name }) => name === ENCRYPTED_LEDGER_SECRETS.name)!;
    const told = secretFromBroadcast(changes, joiner.id, joiner, powers.primitives);
    assert.deepEqual(told, secrets.startingAt(entry.seqno + 1)!.key);
    assert.equal(secretFromBroadcast(changes, other.id, other, powers.primitives), undefined, "it is not trusted");
  }
  assert.deepEqual(join(service).networkInfo!.ledgerSecrets.map(({ first }) => first), [1]);

  trust(service, other);
  const latest = secrets.latest()!;
  assert.equal(rowOf(service, other)!.ledger_secret_seqno, latest.first);
  const told = join(service, other).networkInfo!.ledgerSecrets;
  assert.equal(told.length, 3);
  assert.deepEqual(told.at(-1), {
    first: latest.first,
    secret: latest.secret.key,
    previousSecretStoredVersion: latest.first - 1,
  });
});

serviceTest("a node that members turned down may ask again; one that they retired may not", "native", (service) => {
  const remove = { name: "remove_node", args: { node_id: joiner.id } };
  join(service);
  assert.equal(decide(service, remove).status, 200);
  assert.equal(rowOf(service, joiner), undefined);
  join(service);
  trust(service, joiner);
  assert.equal(decide(service, remove).status, 200);
  assert.equal(rowOf(service, joiner)!.status, "Retired");
  assert.equal(refusal(service), "400 InvalidNodeState Joining node is not in expected state (Retired).");
});

serviceTest("two nodes cannot have one address, unless the other is retired", "native", (service) => {
  const { published_address } = service.config.nodeToNodeInterface;
  const taken = { nodeToNodeInterface: { bind_address: "0.0.0.0:1", published_address } };
  const { nodeId } = service.node;
  assert.equal(
    refusal(service, taken),
    `400 NodeAlreadyExists A node with the same published node address ${published_address} already exists ` +
      `(node id: n[${nodeId}]).`,
  );
  const { nodeToNodeInterface } = requestOf(service, joiner);
  join(service);
  assert.match(refusal(service, { nodeToNodeInterface }, other), /^400 NodeAlreadyExists /);
  service.node.write((tx) => tx.open(NODES_INFO).put(joiner.id, { ...rowOf(service, joiner)!, status: "Retired" }));
  assert.equal(join(service, other, { nodeToNodeInterface }).nodeStatus, "Pending");
});

serviceTest("a request to join that is too large for the ledger is refused before it is read", "native", (service) => {
  const nodeData = "x".repeat(MAX_JOIN_REQUEST_BYTES);
  assert.match(refusal(service, { nodeData }), /^400 InvalidInput A request to join has at most 131072 bytes/);
});

serviceTest("what an operator says of a node is as small as what members can read", "native", (service) => {
  const nodeData = "x".repeat(MAX_NODE_DATA_BYTES - 2); // without its quotes
  assert.match(
    refusal(service, { nodeData: `${nodeData}x` }),
    /^400 InvalidInput "\/node_data" has at most 16384 bytes/,
  );
  assert.equal(join(service, joiner, { nodeData }).nodeStatus, "Pending");
});

serviceTest("a record under a node's ID that is not of its key is left as it is", "native", (service) => {
  join(service);
  const row: NodeInfo = { ...rowOf(service, joiner)!, public_key: other.publicKeyPem, status: "Retired" };
  service.node.write((tx) => tx.open(NODES_INFO).put(joiner.id, row));
  assert.match(refusal(service), /^500 InternalError The record of node [0-9a-f]{64} has another public key/);
  assert.deepEqual(rowOf(service, joiner), row);
});

/** Rows of nodes, from the `first` on, that differ from this node's own in what must differ. */
function putNodes(service: InlineService, count: number, status: NodeInfo["status"], first = 0): void {
  const own = reader(service).open(NODES_INFO).get(service.node.nodeId)!;
  service.node.write((tx) => {
    for (let i = first; i < first + count; i++) {
      const address = { bind_address: `h:${i}`, published_address: `h:${i}` };
      const row: NodeInfo = { ...own, status, public_key: String(i), node_to_node_interface: address };
      tx.open(NODES_INFO).put(i.toString(16).padStart(64, "0"), row);
    }
  });
}

serviceTest("no more nodes than members can look through wait for them", "native", (service) => {
  putNodes(service, MAX_NODES_BEFORE_OPENING, "Trusted", 1000); // those do not count once a service is open
  putNodes(service, MAX_PENDING_NODES, "Pending");
  assert.match(refusal(service), /^503 TooManyRequests 64 nodes wait for the members' decision/);
  service.node.write((tx) => tx.open(NODES_INFO).remove("0".repeat(64)));
  assert.equal(join(service).nodeStatus, "Pending");
  assert.equal(join(service).nodeStatus, "Pending", "who waits already may ask on");
});

serviceTest("before a service is open, only so many nodes are trusted at once", "native", (service) => {
  putNodes(service, MAX_PENDING_NODES, "Retired", 1000);
  putNodes(service, MAX_NODES_BEFORE_OPENING - 1, "Trusted"); // and its own
  assert.match(refusal(service), /^503 TooManyRequests The service has 64 nodes, and takes no more before its members/);
  service.node.write((tx) => tx.open(NODES_INFO).remove("0".repeat(64)));
  assert.equal(join(service).nodeStatus, "Trusted");
  assert.equal(join(service).nodeStatus, "Trusted", "who is trusted already may ask on");
  assert.match(refusal(service, {}, other), /^503 TooManyRequests/);
}, { closed: true });

serviceTest(
  "evidence that the members' policy does not accept is refused, and logged with the reason",
  "native",
  (service) => {
    const host_data = service.config.platform.hostData;
    const claims = { measurement: VIRTUAL_MEASUREMENT, host_data, report_data: toBase64(hash(joiner)) };
    const unverified = "401 InvalidQuote Quote could not be verified";
    const otherKey = "401 InvalidQuote Quote report data does not match the hash of the public key for this node";
    const ownRow = reader(service).open(NODES_INFO).get(service.node.nodeId)!;
    const snp = { format: "AMD_SEV_SNP_v1", quote: toBase64(new Uint8Array(1184)), endorsements: "" } as const;
    const table: readonly [string, Partial<JoinRequest>, string, RegExp][] = [
      ["another key's", quote({ ...claims, report_data: toBase64(hash(other)) }), otherKey, /for another key, that of/],
      ["a copy", { quoteInfo: ownRow.quote_info }, otherKey, new RegExp(`copy of that of node ${service.node.nodeId}`)],
      [
        "unknown code",
        quote({ ...claims, measurement: "mine" }),
        "401 InvalidQuote Quote does not contain known enclave measurement",
        /measurement "mine" is not in the join policy/,
      ],
      [
        "unknown host data",
        quote({ ...claims, host_data: "0".repeat(64) }),
        "401 InvalidQuote Quote host data is not authorised",
        /host data 0{64} is not in the join policy/,
      ],
      [
        "no host data",
        quote({ ...claims, host_data: undefined }),
        "401 InvalidQuote Quote does not contain trusted host data",
        /does not say, as the hex of a SHA-256/,
      ],
      ["no JSON", quote("{"), unverified, /not that of the virtual platform: Cannot read 1 characters as JSON/],
      ["another shape", quote({}), unverified, /not that of the virtual platform: .*"\/measurement"/],
      [
        "another platform's, so called",
        { quoteInfo: snp },
        unverified,
        /: version: the report has version 0 \(evidence: unsupported_version\)$/,
      ],
      [
        "another platform's",
        { quoteInfo: { ...snp, format: "Insecure_Virtual" } },
        unverified,
        /not that of the virtual/,
      ],
      ["oversized", quote(" ".repeat(66_000) + JSON.stringify(claims)), unverified, /longer than 65536 bytes/],
    ];
    as(service, "config", { ...nodeOf(service).config, logLevel: "info" });
    for (const [name, change, answer, reason] of table) {
      assert.equal(refusal(service, change), answer, name);
      const line = service.node.logs.at(-1)!;
      assert.match(line, reason, name);
      assert(line.startsWith(`fail join Node ${joiner.id} is not let in: `), line);
    }
    assert.equal(rowOf(service, joiner), undefined);
  },
);

serviceTest("keys that cannot be used later are refused when a node asks", "native", (service) => {
  const subject = nameFromConfiguration("CN=x");
  const forged = signCertificateRequest(joiner.key, subject, []);
  forged[forged.length - 1]! ^= 1;
  const table: readonly [Partial<JoinRequest>, RegExp][] = [
    [
      { certificateSigningRequestPem: other.requestPem },
      /^400 CSRPublicKeyInvalid Public key in CSR does not match TLS client identity\.$/,
    ],
    [{ certificateSigningRequestPem: "nonsense" }, /^400 CSRPublicKeyInvalid Cannot read PEM/],
    [
      { certificateSigningRequestPem: serialisePem("CERTIFICATE REQUEST", forged) },
      /^400 CSRPublicKeyInvalid .*not signed/,
    ],
    [{ encryptionPublicKeyPem: "nonsense" }, /^400 InvalidInput Cannot read PEM/],
    [{ encryptionPublicKeyPem: joiner.publicKeyPem }, /^400 InvalidInput /],
  ];
  for (const [change, message] of table) assert.match(refusal(service, change), message);
  // What stands around a block of PEM does not go to the ledger.
  const { encryptionPublicKeyPem, certificateSigningRequestPem } = requestOf(service, joiner);
  join(service, joiner, {
    encryptionPublicKeyPem: `note\n${encryptionPublicKeyPem}`,
    certificateSigningRequestPem: `${certificateSigningRequestPem}\n\nnote`,
  });
  const row = rowOf(service, joiner)!;
  assert.equal(row.encryption_pub_key, encryptionPublicKeyPem);
  assert.equal(row.certificate_signing_request, certificateSigningRequestPem);
});

serviceTest("whoever proves no key, or says nothing that can be read, is refused", "native", (service) => {
  const keyless = ask(service, undefined, serialiseJoinRequest(requestOf(service, joiner)));
  assert.deepEqual([keyless.status, odataError(keyless).code], [500, "InternalError"]);
  assert.match(odataError(keyless).message, /^A node can only join over a connection with its client certificate/);
  for (const body of [toUtf8("{}"), toUtf8("["), fromHex("ff00")]) {
    const response = ask(service, joiner, body);
    assert.deepEqual([response.status, odataError(response).code], [400, "InvalidInput"]);
  }
});

serviceTest("a node that started from a later snapshot takes no node with an earlier one", "native", (service) => {
  as(service, "startupSeqno", 11);
  assert.equal(
    refusal(service, { startupSeqno: 10 }),
    "400 StartupSeqnoIsOld Node requested to join from seqno 10 which is older than this node startup seqno 11. " +
      "A snapshot at least as recent as 11 must be used instead.",
  );
  assert.equal(join(service, joiner, { startupSeqno: 11 }).nodeStatus, "Pending");
});

serviceTest("a node that takes no part in a service lets nobody in", "native", (service) => {
  as(service, "state", "Pending");
  assert.equal(
    refusal(service),
    "500 InternalError Target node should be part of network to accept new nodes.",
  );
});

serviceTest("without a service there is nothing to join", "native", (service) => {
  service.node.write((tx) => tx.open(SERVICE_INFO).remove());
  assert.equal(refusal(service), "500 InternalError No service is available to accept new node.");
});

serviceTest("a backup tells secrets to a trusted node, and sends a new one to the primary", "native", (service) => {
  const primary = "ab".repeat(32);
  const address = { bind_address: "10.0.0.1:1", published_address: "primary:1" };
  const setPrimary = (change: Partial<NodeInfo>) =>
    service.node.write((tx) => {
      const own = tx.open(NODES_INFO).get(service.node.nodeId)!;
      tx.open(NODES_INFO).put(primary, { ...own, public_key: "", ...change });
    });
  setPrimary({ rpc_interfaces: { primary_rpc_interface: address } });
  join(service);
  trust(service, joiner);
  as(service, "canReplicate", false);
  as(service, "primaryId", primary);
  assert.equal(join(service).networkInfo!.ledgerSecrets.length, 1);
  assert.equal(refusal(service, {}, other), "308 NodeCannotHandleRequest Node is not primary; cannot handle write");
  const { headers } = ask(service, other, serialiseJoinRequest(requestOf(service, other)));
  assert.deepEqual(headers.find(([name]) => name === "location"), ["location", "https://primary:1/node/join"]);
});

serviceTest("a backup that cannot say where the primary is says so", "native", (service) => {
  const primary = "ab".repeat(32);
  as(service, "canReplicate", false);
  as(service, "primaryId", undefined);
  assert.equal(refusal(service), "500 InternalError Primary unknown");
  as(service, "primaryId", primary);
  assert.match(refusal(service), /^500 InternalError Cannot find node info to produce redirect response for node abab/);
});

serviceTest(
  "changed requests are answered with what is wrong with them, and leave nothing but rows",
  "native",
  (service) => {
    const sample = serialiseJoinRequest(requestOf(service, joiner, { nodeData: { zone: 1 } }));
    const seen = new Set<number>();
    fc.assert(
      // Few changes leave a request that is taken.
      fc.property(fc.oneof({ weight: 9, arbitrary: mutated(sample) }, fc.constant(sample)), (body) => {
        const { length } = service.node.entries;
        const { status } = ask(service, joiner, body);
        seen.add(status);
        assert([200, 400, 401].includes(status), String(status));
        if (status !== 200) return assert.equal(service.node.entries.length, length);
        const row = rowOf(service, joiner)!;
        assert.deepEqual([row.status, row.public_key], ["Pending", joiner.publicKeyPem]);
        service.node.write((tx) => tx.open(NODES_INFO).remove(joiner.id));
      }),
      { numRuns: 300 },
    );
    assert.equal(service.node.fatal, undefined);
    assert(seen.has(200) && seen.has(400), "some are taken, some are not");
  },
);
