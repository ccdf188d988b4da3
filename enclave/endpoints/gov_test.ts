import { strict as assert } from "node:assert";
import { toUtf8 } from "../../shared/bytes.ts";
import {
  CA_CERT_BUNDLES,
  DCAP_TCB_STATUSES,
  JWT_ISSUERS,
  JWT_PUBLIC_SIGNING_KEYS_METADATA_V2,
  MEMBERS_ACKS,
  MEMBERS_ENCRYPTION_PUBLIC_KEYS,
  MEMBERS_INFO,
  MODULES,
  type NodeInfo,
  NODES_CODE_IDS,
  NODES_INFO,
  type ProposalInfo,
  PROPOSALS,
  PROPOSALS_INFO,
  SERVICE_CONFIG,
  SERVICE_INFO,
  SGX_MEASUREMENTS,
  SNP_HOST_DATA,
  SNP_MEASUREMENTS,
  SNP_TCB_VERSIONS,
  SNP_UVM_ENDORSEMENTS,
  TDX_HOST_DATA,
  TDX_MEASUREMENTS,
  USERS_CERTS,
  USERS_INFO,
} from "../../shared/governance/tables.ts";
import type { Transaction } from "../../shared/kv/transaction.ts";
import { bodyText, headerOf, odataError, serviceTest } from "../../tests/inline_app.ts";
import type { InlineService } from "../../tests/inline_service.ts";
import type { HttpResponse } from "../messages.ts";

type Json = Record<string, unknown>;

const VERSION = "api-version=2024-07-01";
const NOBODY = "0".repeat(64);
const SOMEBODY = "5".repeat(64);

function ask({ node }: InlineService, path: string): HttpResponse {
  return node.request({ method: "GET", target: `/gov${path}${path.includes("?") ? "&" : "?"}${VERSION}` });
}

function get(service: InlineService, path: string): Json {
  const response = ask(service, path);
  assert.equal(response.status, 200, bodyText(response));
  return JSON.parse(bodyText(response));
}

function listed(service: InlineService, path: string): Json[] {
  return get(service, path).value as Json[];
}

function refusal(service: InlineService, path: string): string {
  const response = ask(service, path);
  const { code, message } = odataError(response);
  return `${response.status} ${code} ${message}`;
}

function write({ node }: InlineService, change: (tx: Transaction) => void): void {
  node.write(change);
}

serviceTest("every versioned endpoint wants an api-version that has it", "native", ({ node }) => {
  const refused = (target: string) => {
    const response = node.request({ method: "GET", target });
    const { code, message } = odataError(response);
    return `${response.status} ${code} ${message}`;
  };
  const both = "The supported api-versions are: 2023-06-01-preview, 2024-07-01";
  const required = "The api-version query parameter (?api-version=) is required for all requests.";
  assert.equal(refused("/gov/service/info"), `400 MissingApiVersionParameter ${required} ${both}`);
  for (const version of ["", "2020-01-01", "2024-07-01x", "2024-07-01 "]) {
    assert.equal(
      refused(`/gov/service/info?api-version=${version}`),
      `400 UnsupportedApiVersionValue Unsupported api-version '${version}'. ${both}`,
    );
  }
  for (const path of ["javascript-app", "javascript-modules", "javascript-modules/x"]) {
    assert.equal(
      refused(`/gov/service/${path}?api-version=2023-06-01-preview`),
      "400 UnsupportedApiVersionValue Unsupported api-version '2023-06-01-preview'. The supported api-versions are: 2024-07-01",
    );
  }
  assert.equal(
    refused("/gov/api?api-version=nope"),
    `400 UnsupportedApiVersionValue Unsupported api-version 'nope'. ${both}`,
  );
  assert.equal(refused("/gov/members/proposals/nothing"), `400 MissingApiVersionParameter ${required} ${both}`);
  assert.equal(node.request({ method: "GET", target: "/gov/service/info?api-version=2023-06-01-preview" }).status, 200);
});

serviceTest("IDs in paths are 64 hex digits, and compared as text", "native", (service) => {
  for (
    const [path, kind] of [
      ["/service/members/", "member"],
      ["/service/users/", "user"],
      ["/service/nodes/", "node"],
      ["/members/proposals/", "proposal"],
      ["/recovery/encrypted-shares/", "member"],
    ] as const
  ) {
    for (const id of ["abc", `${NOBODY}0`, "g".repeat(64)]) {
      const message = `'${id}' is not a valid hex-encoded ${kind} ID`;
      assert.equal(refusal(service, path + id), `400 InvalidResourceName ${message}`);
    }
    for (const id of [NOBODY, "A".repeat(64)]) assert.match(refusal(service, path + id), /^404 /);
  }
  assert.match(refusal(service, `/members/proposals/x/actions`), /proposal ID$/);
  assert.match(refusal(service, `/members/proposals/x/ballots/${NOBODY}`), /proposal ID$/);
  assert.match(refusal(service, `/members/proposals/${NOBODY}/ballots/x`), /member ID$/);
  const noAck = "404 ResourceNotFound No ACK record exists for member m[abc].";
  assert.equal(refusal(service, "/members/state-digests/abc"), noAck, "here the shape does not count");
});

serviceTest("the constitution is served as it was given", "native", (service) => {
  const response = ask(service, "/service/constitution");
  assert.equal(bodyText(response), service.config.service.constitution.join("\n"));
  assert.equal(headerOf(response, "content-type"), "text/javascript");
});

serviceTest("the service's description fills in defaults", "native", (service) => {
  assert.deepEqual(get(service, "/service/info"), {
    certificate: service.node.servicePem,
    configuration: {
      maximumNodeCertificateValidityDays: 365,
      maximumServiceCertificateValidityDays: 365,
      recentCoseProposalsWindowSize: 100,
      recoveryThreshold: 2,
    },
    creationTransactionId: "2.1",
    recoveryCount: 0,
    serviceData: null,
    status: "Open",
  });
  write(service, (tx) => {
    tx.open(SERVICE_INFO).put({ cert: "PEM", status: "Open", recovery_count: 3, service_data: [1] });
    tx.open(SERVICE_CONFIG).put({ recovery_threshold: 1, recent_cose_proposals_window_size: 7 });
  });
  const info = get(service, "/service/info");
  assert.deepEqual([info.recoveryCount, info.serviceData, "creationTransactionId" in info], [3, [1], false]);
  assert.equal((info.configuration as Json).recentCoseProposalsWindowSize, 7);
  write(service, (tx) => tx.open(SERVICE_CONFIG).remove());
  assert.equal(refusal(service, "/service/info"), "404 ResourceNotFound Service info not available.");
});

serviceTest("members are listed with their role in recovery", "native", (service) => {
  assert.equal(listed(service, "/service/members").length, 3);
  const id = String(listed(service, "/service/members")[0]!.memberId);
  const member = () => get(service, `/service/members/${id}`);
  assert.deepEqual([member().status, member().recoveryRole], ["Active", "Participant"]);
  const names = listed(service, "/service/members").map(({ memberData }) => (memberData as { name: string }).name);
  assert.deepEqual(names.sort(), ["member0", "member1", "member2"]);
  write(
    service,
    (tx) => tx.open(MEMBERS_INFO).put(id, { status: "Accepted", member_data: "d", recovery_role: "Owner" }),
  );
  assert.deepEqual([member().status, member().memberData, member().recoveryRole], ["Accepted", "d", "Owner"]);
  write(service, (tx) => {
    tx.open(MEMBERS_INFO).put(id, { status: "Accepted" });
    tx.open(MEMBERS_ENCRYPTION_PUBLIC_KEYS).remove(id);
  });
  assert.equal(member().recoveryRole, "NonParticipant");
  assert.equal("publicEncryptionKey" in member(), false);
  assert.equal(
    refusal(service, `/service/members/${NOBODY}`),
    `404 ResourceNotFound Member m[${NOBODY}] does not exist.`,
  );
});

serviceTest("users are listed with what is stored about them", "native", (service) => {
  const [user] = listed(service, "/service/users");
  const id = String(user!.userId);
  assert.deepEqual(user, get(service, `/service/users/${id}`));
  assert.deepEqual(user!.userData, { user_data: { name: "user0" } });
  write(service, (tx) => {
    tx.open(USERS_INFO).put(id, { user_data: { a: 1 } });
    tx.open(USERS_CERTS).put(SOMEBODY, "PEM");
  });
  assert.deepEqual(get(service, `/service/users/${id}`).userData, { user_data: { a: 1 } });
  assert.deepEqual(get(service, `/service/users/${SOMEBODY}`), {
    certificate: "PEM",
    userData: null,
    userId: SOMEBODY,
  });
  assert.equal(listed(service, "/service/users").length, 2);
  assert.equal(refusal(service, `/service/users/${NOBODY}`), `404 ResourceNotFound User u[${NOBODY}] does not exist.`);
});

serviceTest("nodes are listed with what is known of their platform", "native", (service) => {
  const [own] = listed(service, "/service/nodes");
  assert.deepEqual(own, get(service, `/service/nodes/${service.node.nodeId}`));
  assert.deepEqual(own!.rpcInterfaces, { primary_rpc_interface: { publishedAddress: "127.0.0.1:8000" } });
  assert.deepEqual([own!.status, own!.retiredCommitted, own!.nodeData], ["Trusted", false, { name: "node0" }]);
  const quote = own!.quoteInfo as { format: string; details: Json };
  assert.equal(quote.format, "Insecure_Virtual");
  assert.deepEqual(Object.keys(quote.details), ["hostData", "measurement", "reportData"]);

  const describe = (quote_info: NodeInfo["quote_info"]) => {
    write(service, (tx) => {
      tx.open(NODES_INFO).put(SOMEBODY, {
        status: "Retired",
        encryption_pub_key: "",
        quote_info,
        retired_committed: true,
        node_data: 1,
        rpc_interfaces: { a: { bind_address: "h:1", protocol: "tcp" } },
      });
    });
    return get(service, `/service/nodes/${SOMEBODY}`);
  };
  const snp = describe({ format: "AMD_SEV_SNP_v1", quote: "cQ==", endorsements: "ZQ==", endorsed_tcb: "01" });
  assert.deepEqual(snp, {
    nodeData: 1,
    nodeId: SOMEBODY,
    quoteInfo: { endorsedTcb: "01", format: "AMD_SEV_SNP_v1" },
    retiredCommitted: true,
    rpcInterfaces: { a: { protocol: "tcp", publishedAddress: "h:1" } },
    status: "Retired",
  });
  const sgx = describe({ format: "OE_SGX_v1", quote: "cQ==", endorsements: "ZQ==" });
  assert.deepEqual(sgx.quoteInfo, { endorsements: "ZQ==", format: "OE_SGX_v1", quote: "cQ==" });
  assert.equal(refusal(service, `/service/nodes/${NOBODY}`), `404 ResourceNotFound Node n[${NOBODY}] does not exist.`);
});

serviceTest("the app is shown in camel case, or as it is stored", {
  "GET /a/{b}": { js: "return {}", mode: "readonly", policies: ["no_auth"], openapi: { summary: "s" } },
  "POST /a/{b}": {},
}, (service) => {
  const { endpoints } = get(service, "/service/javascript-app") as { endpoints: Record<string, Json> };
  assert.deepEqual(Object.keys(endpoints), ["/a/{b}"]);
  assert.deepEqual(endpoints["/a/{b}"]!.GET, {
    authnPolicies: ["no_auth"],
    forwardingRequired: "sometimes",
    jsFunction: "f0",
    jsModule: "/app.js",
    mode: "readonly",
    openApi: { summary: "s" },
  });
  const original = get(service, "/service/javascript-app?case=original") as { endpoints: Record<string, Json> };
  assert.equal((original.endpoints["/a/{b}"]!.POST as Json).js_module, "/app.js");
  assert.equal(
    refusal(service, "/service/javascript-app?case=lower"),
    "400 InvalidQueryParameterValue Accepted values for the 'case' query parameter are: original",
  );
});

serviceTest("modules are listed, and served by their encoded name", { "GET /a": {} }, (service) => {
  write(service, (tx) => {
    tx.open(MODULES).put("/dir/é.js", "// é");
    tx.openRaw(MODULES.name).put("/bytes.js", new Uint8Array([0xff]));
  });
  const names = listed(service, "/service/javascript-modules").map(({ moduleName }) => moduleName);
  assert.deepEqual(names.toSorted(), ["/app.js", "/bytes.js", "/dir/é.js"]);
  const response = ask(service, "/service/javascript-modules/%2Fdir%2F%C3%A9.js");
  assert.equal(bodyText(response), "// é");
  assert.equal(headerOf(response, "content-type"), "text/javascript");
  assert.equal(
    refusal(service, "/service/javascript-modules/app.js"),
    "404 ResourceNotFound Module app.js does not exist.",
  );
});

serviceTest("the join policy lists what may join, by platform", "native", (service) => {
  write(service, (tx) => {
    tx.open(NODES_CODE_IDS).put("aa", "AllowedToJoin");
    tx.open(SNP_MEASUREMENTS).put("bb", "AllowedToJoin");
    tx.open(SNP_HOST_DATA).put("cc", "policy");
    tx.open(SNP_UVM_ENDORSEMENTS).put("did:x", { feed: { svn: "1" } });
    tx.open(SNP_TCB_VERSIONS).put("00a00f11", { boot_loader: 1, snp: 2 });
  });
  assert.deepEqual(get(service, "/service/join-policy"), {
    sgx: { measurements: ["aa"] },
    snp: {
      hostData: { cc: "policy" },
      measurements: ["bb"],
      tcbVersions: { "00a00f11": { boot_loader: 1, snp: 2 } },
      uvmEndorsements: { "did:x": { feed: { svn: "1" } } },
    },
    virtual: {
      hostData: [service.config.platform.hostData],
      measurements: ["Insecure hard-coded virtual measurement v1"],
    },
  });
});

serviceTest(
  "the join policy lists what may join on Intel's platforms where members have decided so",
  "native",
  (service) => {
    assert.deepEqual(Object.keys(get(service, "/service/join-policy")), ["sgx", "snp", "virtual"], "as CCF answers");
    write(service, (tx) => tx.open(DCAP_TCB_STATUSES).put("UpToDate", "AllowedToJoin"));
    assert.deepEqual(get(service, "/service/join-policy").dcap, {
      sgx: { measurements: [] },
      tcbStatuses: ["UpToDate"],
      tdx: { hostData: {}, measurements: [] },
    });
    write(service, (tx) => {
      tx.open(SGX_MEASUREMENTS).put("aa", "AllowedToJoin");
      tx.open(TDX_MEASUREMENTS).put("bb", "AllowedToJoin");
      tx.open(TDX_HOST_DATA).put("cc", "policy");
    });
    assert.deepEqual(get(service, "/service/join-policy").dcap, {
      sgx: { measurements: ["aa"] },
      tcbStatuses: ["UpToDate"],
      tdx: { hostData: { cc: "policy" }, measurements: ["bb"] },
    });
  },
);

serviceTest("issuers of tokens are shown with their keys, of any kind", "native", (service) => {
  write(service, (tx) => {
    tx.open(JWT_ISSUERS).put("https://a", { auto_refresh: true, ca_cert_bundle_name: "roots" });
    tx.open(JWT_ISSUERS).put("https://b", {});
    tx.open(JWT_PUBLIC_SIGNING_KEYS_METADATA_V2).put("kid", [
      { public_key: "MAA=", issuer: "https://a", constraint: "https://a/{tenantid}" },
      { public_key: "MAA=", issuer: "https://b" },
    ]);
    tx.open(CA_CERT_BUNDLES).put("roots", "PEM");
  });
  const publicKey = "-----BEGIN PUBLIC KEY-----\nMAA=\n-----END PUBLIC KEY-----\n";
  assert.deepEqual(get(service, "/service/jwk"), {
    caCertBundles: { roots: "PEM" },
    issuers: { "https://a": { autoRefresh: true, caCertBundleName: "roots" }, "https://b": { autoRefresh: false } },
    keys: {
      kid: [
        { constraint: "https://a/{tenantid}", issuer: "https://a", publicKey },
        { constraint: null, issuer: "https://b", publicKey },
      ],
    },
  });
});

serviceTest("transactions have a status here too", "native", (service) => {
  const transactionId = `2.${service.node.entries.length}`;
  assert.deepEqual(get(service, "/service/transactions/commit"), { status: "Committed", transactionId });
  assert.deepEqual(get(service, `/service/transactions/${transactionId}`), { status: "Committed", transactionId });
  assert.deepEqual(get(service, "/service/transactions/2.999999"), { status: "Unknown", transactionId: "2.999999" });
  assert.equal(
    refusal(service, "/service/transactions/1.x"),
    "400 InvalidQueryParameterValue The value '1.x' passed as parameter 'transactionId' could not be converted to a valid Transaction ID.",
  );
});

serviceTest("proposals are shown with what became of them", "native", (service) => {
  const info: ProposalInfo = { proposer_id: "p", state: "Open", ballots: { [SOMEBODY]: "export function vote () {}" } };
  const id = "1".repeat(64);
  const path = `/members/proposals/${id}`;
  const put = (info: ProposalInfo) =>
    write(service, (tx) => {
      tx.open(PROPOSALS_INFO).put(id, info);
      tx.open(PROPOSALS).put(id, toUtf8('{ "actions": [] }'));
    });
  assert.deepEqual(listed(service, "/members/proposals"), []);
  put(info);
  const open = { ballotCount: 1, proposalId: id, proposalState: "Open", proposerId: "p" };
  assert.deepEqual(get(service, path), open);
  assert.deepEqual(listed(service, "/members/proposals"), [open]);
  put({ ...info, state: "Rejected", final_votes: { [SOMEBODY]: false }, vote_failures: {}, failure: { reason: "r" } });
  assert.deepEqual(get(service, path), {
    ...open,
    proposalState: "Rejected",
    finalVotes: { [SOMEBODY]: false },
    voteFailures: {},
    failure: { reason: "r" },
  });

  const actions = ask(service, `${path}/actions`);
  assert.equal(bodyText(actions), '{ "actions": [] }');
  assert.equal(headerOf(actions, "content-type"), undefined);
  const ballot = ask(service, `${path}/ballots/${SOMEBODY}`);
  assert.equal(bodyText(ballot), "export function vote () {}");
  assert.equal(headerOf(ballot, "content-type"), "text/javascript");
  assert.equal(
    refusal(service, `${path}/ballots/${NOBODY}`),
    `404 VoteNotFound Member m[${NOBODY}] has not voted for proposal ${id}.`,
  );
  const unknown = `404 ProposalNotFound Could not find proposal ${NOBODY}.`;
  assert.equal(refusal(service, `/members/proposals/${NOBODY}`), unknown);
  assert.equal(refusal(service, `/members/proposals/${NOBODY}/actions`), unknown);
  assert.equal(
    refusal(service, `/members/proposals/${NOBODY}/ballots/${SOMEBODY}`),
    `404 ProposalNotFound Proposal ${NOBODY} does not exist.`,
  );
}, { closed: true });

serviceTest("members find the digest to acknowledge, and their share", "native", (service) => {
  const id = String(listed(service, "/service/members")[0]!.memberId);
  const digest = get(service, `/members/state-digests/${id}`);
  assert.equal(digest.memberId, id);
  assert.match(String(digest.stateDigest), /^[0-9a-f]{64}$/);
  write(service, (tx) => tx.open(MEMBERS_ACKS).put(id, { state_digest: "new" }));
  assert.deepEqual(get(service, `/members/state-digests/${id}`), { memberId: id, stateDigest: "new" });
  const share = get(service, `/recovery/encrypted-shares/${id}`);
  assert.deepEqual(Object.keys(share), ["encryptedShare", "memberId"]);
  assert.equal(
    refusal(service, `/recovery/encrypted-shares/${NOBODY}`),
    `404 ResourceNotFound Recovery share not found for member m[${NOBODY}].`,
  );
});

serviceTest("before shares were ever issued there are none to show", "native", (service) => {
  const refused = "500 InternalError Failed to retrieve current recovery shares info";
  assert.equal(refusal(service, `/recovery/encrypted-shares/${NOBODY}`), refused);
}, { closed: true });
