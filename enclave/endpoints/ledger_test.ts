import { strict as assert } from "node:assert";
import { fromUtf8 } from "../../shared/bytes.ts";
import { bodyText, odataError, serviceTest } from "../../tests/inline_app.ts";
import type { InlineService } from "../../tests/inline_service.ts";
import type { HttpResponse, StartConfig } from "../messages.ts";

const ADDRESS = { bind_address: "127.0.0.1:1", published_address: "node.example:1" };
const change: Partial<StartConfig> = {
  rpcInterfaces: { auditors: { ...ADDRESS, enabled_operator_features: ["LedgerRead"] }, users: ADDRESS },
};

function ask({ node }: InlineService, query: string, interfaceName = "auditors"): HttpResponse {
  return node.request({ method: "GET", target: `/node/ledger/${query}` }, interfaceName);
}

serviceTest("the host is to answer with committed entries, and with no others", "native", (service) => {
  const { node, userCertificate } = service;
  const committed = node.committed;
  node.request({ method: "POST", target: "/log/private", body: { id: 1, msg: "x" }, certificate: userCertificate });
  assert.equal(node.entries.length, committed + 1, "the last one is not committed");
  for (
    const [query, from, to] of [
      ["entries?from=1", 1, committed],
      ["entries?from=3&to=5", 3, 5],
      [`entries?from=${committed}`, committed, committed],
      [`entries?from=2&to=${committed + 1}`, 2, committed],
      ["entries?to=9007199254740991&from=7", 7, committed],
    ] as const
  ) {
    const { status, headers, body, fromHost } = ask(service, query);
    assert.deepEqual([status, body.length], [200, 0], query);
    assert.deepEqual(headers, [["content-type", "application/octet-stream"]]);
    assert.deepEqual(fromHost, { kind: "entries", from, to });
  }
  const early = ask(service, `entries?from=${committed + 1}`);
  assert.equal(early.status, 404);
  assert.deepEqual(odataError(early), {
    code: "ResourceNotFound",
    message: `Entry ${committed + 1} is not committed: the ledger of this node is committed up to ${committed}`,
  });
}, { change });

serviceTest("the host is to look up a key of a public table", "native", (service) => {
  for (
    const [query, fromHost] of [
      ["table=public:t", { table: "public:t", key: null, before: null }],
      ["table=public%3At&key=", { table: "public:t", key: "", before: null }],
      ["key=00fF&before=12&table=public:ccf.gov.x", { table: "public:ccf.gov.x", key: "\0ÿ", before: 12 }],
    ] as const
  ) {
    const response = ask(service, `writes?${query}`);
    assert.deepEqual([response.status, response.body.length], [200, 0], query);
    assert.deepEqual(response.fromHost, { kind: "writes", ...fromHost });
    assert.deepEqual(response.headers, [["content-type", "application/json"]]);
  }
}, { change });

serviceTest("what cannot be asked is refused with the reason", "native", (service) => {
  for (
    const [query, message] of [
      ["entries", "The parameter 'from' is missing: the seqno of the first entry that is wanted"],
      ["entries?from=0", `The parameter 'from' is a seqno, a whole number from 1 on: "0"`],
      ["entries?from=-1", `The parameter 'from' is a seqno, a whole number from 1 on: "-1"`],
      ["entries?from=", `The parameter 'from' is a seqno, a whole number from 1 on: ""`],
      [
        "entries?from=1&to=9007199254740992",
        `The parameter 'to' is a seqno, a whole number from 1 on: "9007199254740992"`,
      ],
      ["entries?from=5&to=4", "The parameters 'from' and 'to' are the wrong way round: 4 is before 5"],
      ["writes", "The parameter 'table' is missing: the name of a public table"],
      ["writes?table=records", `There is no index of the private table "records": only names with "public:" have one`],
      [
        "writes?table=public:ccf.other",
        `Cannot use the table name "public:ccf.other": other names with "ccf." are reserved`,
      ],
      ["writes?table=public:t&key=xy", `The parameter 'key' is the key in hex: Cannot read "xy" as hex`],
      ["writes?table=public:t&before=1.5", `The parameter 'before' is a seqno, a whole number from 1 on: "1.5"`],
    ] as const
  ) {
    const response = ask(service, query);
    assert.equal(response.status, 400, query);
    assert.deepEqual(odataError(response), { code: "InvalidQueryParameterValue", message });
  }
}, { change });

serviceTest("only interfaces whose operator allows it show the ledger, and never by JSON-RPC", "native", (service) => {
  for (const query of ["entries?from=1", "writes?table=public:t"]) {
    const { status, headers, body } = ask(service, query, "users");
    assert.deepEqual([status, headers, body.length], [404, [], 0], query);
  }
  for (const method of ["node/getLedgerEntries", "node/GET /ledger/writes"]) {
    const body = { jsonrpc: "2.0", id: 1, method, params: { from: 1, table: "public:t" } };
    const answer = service.node.request({ method: "POST", target: "/rpc", body }, "auditors");
    assert.equal(JSON.parse(fromUtf8(answer.body)).error.code, -32601, method);
  }
}, { change });

serviceTest("both are described in the API document of an interface that has them", "native", (service) => {
  const pathsOn = (interfaceName: string) => {
    return JSON.parse(bodyText(service.node.request({ method: "GET", target: "/node/api" }, interfaceName))).paths;
  };
  assert.ok(!Object.keys(pathsOn("users")).some((path) => path.includes("ledger")), "elsewhere it is CCF's");
  const paths = pathsOn("auditors");
  const entries = paths["/node/ledger/entries"].get;
  assert.deepEqual(Object.keys(entries.responses[200].content), ["application/octet-stream"]);
  assert.deepEqual(
    entries.parameters.map(({ name, required }: { name: string; required: boolean }) => [name, required]),
    [
      ["from", true],
      ["to", false],
    ],
  );
  assert.match(entries.description, /x-quorate-ledger-range/);
  assert.ok(paths["/node/ledger/writes"].get.responses[200].content["application/json"]);
}, { change });
