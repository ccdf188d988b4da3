import { strict as assert } from "node:assert";
import fc from "fast-check";
import { bodyText, headerOf, odataError } from "../../tests/inline_app.ts";
import { client, type ForwardingNode, networkTest } from "../../tests/forwarding_network.ts";
import type { Session } from "../frontend/session.ts";
import type { HttpResponse } from "../messages.ts";

networkTest("a backup forwards what must run on the primary, and answers what may run anywhere", (network) => {
  const session = client();
  assert.equal(network.result(session, "GET /app/r"), "200 none");
  assert.equal(network.commands, 0);
  const answer = network.ask(session, "POST /app/w?one");
  assert.equal(answer.status, 201);
  assert.match(headerOf(answer, "x-ms-ccf-transaction-id")!, /^2\.\d+$/);
  assert.equal(network.commands, 2, "a command and its answer");
  assert.equal(network.result(client(), "GET /app/r"), "200 none", "another session still reads here");
});

networkTest(
  "after a session has forwarded, what may run anywhere follows, so that it sees what was written",
  (network) => {
    const session = client();
    network.ask(session, "POST /app/w?mine");
    assert.equal(network.result(session, "GET /app/r"), "200 mine");
    assert.equal(network.result(session, "GET /app/here"), "200 none", "never means never");
    assert.equal(
      JSON.parse(bodyText(network.ask(session, "GET /node/network/nodes/self"))).node_id,
      network.backup.node.id,
    );
    assert.equal(
      JSON.parse(bodyText(network.ask(session, "GET /node/network/nodes/primary"))).node_id,
      network.primary.node.id,
    );
    Object.assign(network.backup.role, { canReplicate: true, primaryId: network.backup.node.id });
    assert.equal(
      network.result(session, "GET /app/r"),
      "200 none",
      "a session of a node that leads by now stays on it",
    );
  },
);

networkTest(
  "the primary sees the request as the client sent it, and the client the answer as the primary gave it",
  (network) => {
    const answer = network.ask(client(), "POST /app/echo?a=%20b", { x: "é" });
    assert.deepEqual(JSON.parse(bodyText(answer)), {
      body: '{"x":"é"}',
      headers: { "content-length": "10" },
      url: "/app/echo?a= b",
    });
    assert.equal(headerOf(answer, "content-type"), "application/json");
    const head = network.ask(client(), "HEAD /app/head");
    assert.deepEqual([head.status, headerOf(head, "content-length")], [200, "77"]);
    assert.match(network.result(client(), "POST /app/bad"), /^500 InternalError /);
  },
);

networkTest("whatever a client asks, the answer through a backup is the one of the primary", (network) => {
  const bytes = (min: number, max: number) => fc.integer({ min, max }).map((code) => String.fromCharCode(code));
  const value = fc.string({ unit: fc.oneof(bytes(0x20, 0x7e), bytes(0x80, 0xff)) });
  const headers = fc.array(fc.tuple(fc.constantFrom("accept", "x-a", "x-b", "cookie", "host"), value), {
    maxLength: 4,
  });
  const query = fc.string({ unit: bytes(0x21, 0x7e) });
  const line = fc.oneof(
    query.map((text) => `POST /app/echo?${text}`),
    fc.constantFrom(
      "POST /app/bad",
      "GET /app/anywhere",
      "HEAD /app/head",
      "GET /app/me",
      "DELETE /node/network/nodes/x",
    ),
  );
  fc.assert(fc.property(line, fc.uint8Array({ maxLength: 64 }), headers, (line, body, headers) => {
    const direct = network.primary.ask(client(), line, body, headers)!;
    const forwarded = network.ask(client(), line, body, headers);
    // An answer that cannot be sent is one to the listener only.
    if (line === "POST /app/bad") assert.equal(forwarded.status, 500);
    else assert.deepEqual(forwarded, direct);
  }));
});

networkTest(
  "authentication is by the certificate of the client's connection, on the node that runs the request",
  (network) => {
    const session = client("primary_rpc_interface", network.userCertificate);
    assert.match(network.result(session, "GET /app/me"), /^200 user_cert[0-9a-f]{64}$/);
    assert.match(network.result(client(), "GET /app/me"), /^401 InvalidAuthenticationInfo /);
    assert.equal(network.commands, 4);
  },
);

networkTest("a request is forwarded once", (network) => {
  const session = client();
  const { id } = network.backup.send(session, "POST /app/w?x");
  // Between the command and its arrival the primary is deposed.
  Object.assign(network.primary.role, { canReplicate: false, primaryId: network.backup.node.id });
  network.deliver();
  const answer = network.backup.answers.get(id)!;
  assert.equal(answer.status, 503);
  assert.deepEqual(odataError(answer), { code: "RequestAlreadyForwarded", message: "RPC was already forwarded." });
});

networkTest(
  "a read that follows a write to the primary is not answered by one that was deposed on the way, in the same view",
  (network) => {
    const session = client();
    assert.equal(network.ask(session, "POST /app/w?mine").status, 201);
    const { id, response } = network.backup.send(session, "GET /app/r");
    assert.equal(response, undefined, "it follows the write");
    Object.assign(network.primary.role, { canReplicate: false, primaryId: undefined });
    network.deliver();
    const answer = network.backup.answers.get(id)!;
    assert.deepEqual([answer.status, odataError(answer).code], [503, "RequestAlreadyForwarded"]);
    // What may run anywhere, of its own clients, it still answers.
    assert.equal(bodyText(network.primary.ask(client(), "GET /app/r")!), "mine");
  },
);

networkTest("where no primary is known, or it is not reached, the client is told", (network) => {
  const session = client();
  network.channelIsOpen = false;
  assert.equal(
    network.result(session, "POST /app/w?x"),
    "503 InternalError Unable to establish channel to forward to primary.",
  );
  assert.equal(session.isForwarding, false, "nothing has gone to the primary, so reads stay here");
  network.backup.role.primaryId = undefined;
  assert.equal(
    network.result(session, "POST /app/w?x"),
    "503 InternalError RPC could not be forwarded to unknown primary.",
  );
  network.backup.role.primaryId = network.backup.node.id;
  assert.match(network.result(session, "POST /app/w?x"), /unknown primary/, "a primary that has retired");
  assert.equal(network.result(session, "GET /app/r"), "200 none");
});

networkTest("the time to wait is the interface's", (network) => {
  const slow = network.backup.send(client(), "POST /app/w?x").id;
  const fast = network.backup.send(client("fast"), "POST /app/w?x").id;
  network.lose();
  const { forwarder, answers, node } = network.backup;
  forwarder.tick(node.steadyMs + 249);
  assert.equal(answers.size, 0);
  forwarder.tick(node.steadyMs + 250);
  assert.deepEqual([...answers.keys()], [fast]);
  assert.match(bodyText(answers.get(fast)!), /after 250ms$/);
  forwarder.tick(node.steadyMs + 3000);
  assert.equal(answers.get(slow)!.status, 504);
}, { interfaces: { fast: { forwarding_timeout_ms: 250 } } });

networkTest("a session that began in another view is over, here and on the primary", (network) => {
  const session = client();
  network.ask(session, "POST /app/w?x");
  assert.equal(session.view, 2);
  // Here: the check comes before forwarding.
  network.backup.role.view = 3;
  const here = network.ask(session, "POST /app/w?lost");
  assert.deepEqual([here.status, odataError(here).code, here.close], [500, "SessionConsistencyLost", true]);
  assert.equal(network.commands, 2);
  // There: the primary is in a view that the backup does not know of yet.
  const other = client();
  network.backup.role.view = 2;
  network.primary.role.view = 3;
  const there = network.ask(other, "POST /app/w?lost");
  assert.deepEqual([there.status, odataError(there).code, there.close], [500, "SessionConsistencyLost", true]);
  network.primary.role.view = 2;
  assert.equal(network.result(session, "GET /app/r"), "200 x", "what it would have written is not there");
});

networkTest("what is written where it may not be is not replicated", (network) => {
  assert.equal(
    network.result(client(), "POST /app/sometimes?x"),
    "503 TransactionReplicationFailed Transaction failed to replicate.",
  );
  assert.equal(network.result(client(), "GET /app/here"), "200 none");
});

networkTest("an interface's rules are those of the node that the client is connected to", (network) => {
  const session = client("few");
  const refused = network.ask(session, "POST /app/echo");
  assert.deepEqual([refused.status, refused.body.length, network.commands], [503, 0, 0]);
  assert.equal(network.ask(session, "POST /app/w?x").status, 201);
  assert.equal(network.ask(client("snapshots"), "GET /node/snapshot").status === 404, false);
}, {
  interfaces: { few: { accepted_endpoints: ["/app/w"] }, snapshots: { enabled_operator_features: ["SnapshotRead"] } },
});

networkTest("an HTTP/2 interface does not forward", (network) => {
  const session = client("two");
  assert.equal(
    network.result(session, "POST /app/w?x"),
    "501 NotImplemented Request cannot be forwarded to primary on HTTP/2 interface.",
  );
  assert.equal(network.result(session, "GET /app/r"), "200 none");
}, { interfaces: { two: { app_protocol: "HTTP2" } } });

const role = (role: string, target = {}) => ({ kind: "NodeByRole", target: { role, ...target } });

networkTest(
  "an interface with redirections sends clients elsewhere by the endpoint's strategy, and never forwards",
  (network) => {
    const to = (session: Session, line: string, node: ForwardingNode = network.backup) => {
      const { status, headers, body } = node.ask(session, line)!;
      return body.length === 0 ? `${status} ${headers.map((header) => header.join(" ")).join()}` : String(status);
    };
    assert.equal(to(client("redirecting"), "POST /app/w?a=%20b"), "307 location https://n.example:443/app/w?a=%20b");
    assert.equal(
      to(client("redirecting"), "POST /w"),
      "307 location https://n.example:443/w",
      "as the client wrote it",
    );
    assert.equal(to(client("redirecting"), "POST /app/w?x", network.primary).slice(0, 3), "201");
    assert.equal(to(client("redirecting"), "GET /app/here"), "200");
    assert.equal(to(client("redirecting"), "GET /app/anywhere"), "200", "only the strategy counts");
    assert.equal(to(client("redirecting"), "GET /app/backup"), "200");
    assert.equal(to(client("redirecting"), "GET /node/network"), "200");
    assert.equal(to(client("static"), "POST /app/w?x"), "307 location https://lb.example/app/w?x");
    // From the primary to a backup.
    const { role, node } = network.backup;
    Object.assign(role, { canReplicate: true, primaryId: node.id });
    assert.equal(to(client("redirecting"), "GET /app/backup"), "307 location https://n.example:443/app/backup");
    assert.equal(to(client("static"), "GET /app/backup"), "307 location https://ro.example/app/backup");
    // Quirk: without a role even `to_backup` is the primary: a client that follows comes back here.
    assert.equal(to(client("bare"), "GET /app/backup"), "307 location https://n.example:443/app/backup");
    assert.equal(network.commands, 0);
  },
  {
    interfaces: {
      redirecting: { redirections: { to_primary: role("primary"), to_backup: role("backup") } },
      static: {
        redirections: {
          to_primary: { kind: "StaticAddress", target: { address: "lb.example" } },
          to_backup: { kind: "StaticAddress", target: { address: "ro.example" } },
        },
      },
      bare: { redirections: {} },
    },
  },
);

networkTest("where there is nobody to send a client to, it is told so", (network) => {
  const noPrimary = "503 PrimaryNotFound Request should be redirected to primary, but receiving node does not know " +
    "current primary address";
  const noBackup = "503 BackupNotFound Request should be redirected to backup, but receiving node does not know any " +
    "current backup address";
  assert.equal(network.result(client("elsewhere"), "POST /app/w"), noPrimary, "it has no such interface");
  assert.equal(network.result(client("odd"), "POST /app/w"), noPrimary, "a role that nobody has");
  network.backup.role.primaryId = undefined;
  assert.equal(network.result(client("redirecting"), "POST /app/w"), noPrimary);
  network.backup.role.primaryId = "ff";
  assert.equal(network.result(client("redirecting"), "POST /app/w"), noPrimary, "the ledger does not know it");
  const response = network.primary.ask(client("redirecting"), "GET /app/backup")!;
  assert.equal(`${response.status} ${odataError(response).code} ${odataError(response).message}`, noBackup);
}, {
  interfaces: {
    elsewhere: { redirections: { to_primary: role("primary", { interface: "nowhere" }) } },
    odd: { redirections: { to_primary: role("tertiary") } },
    redirecting: { redirections: { to_primary: role("primary"), to_backup: role("backup") } },
  },
});

const call = (id: number | undefined, method: string, params: object = {}) => ({
  jsonrpc: "2.0",
  ...(id !== undefined && { id }),
  method,
  params,
});

networkTest("a call that must run on the primary is forwarded with its HTTP request", (network) => {
  const session = client();
  const answer = network.ask(session, "POST /rpc", call(1, "app/postEcho", { body: { n: 1 } }));
  const { id, result, tx_id } = JSON.parse(bodyText(answer));
  assert.deepEqual([id, result.body], [1, '{"n":1}']);
  assert.match(tx_id, /^2\.\d+$/);
  assert.equal(network.commands, 2);
  const notified = network.ask(session, "POST /rpc", call(undefined, "app/postW", { query: { x: 1 } }));
  assert.deepEqual([notified.status, notified.body.length], [204, 0]);
  const read = JSON.parse(bodyText(network.ask(session, "POST /rpc", call(2, "app/getR"))));
  assert.equal(read.result, "x=1", "it follows");
});

networkTest("of a batch, what must run on the primary travels together, and all answers are in order", (network) => {
  const session = client();
  const text = JSON.stringify([
    call(1, "app/getR"),
    call(2, "app/postW", { query: { v: 1 } }),
    call(3, "app/getR"),
    call(undefined, "app/postW", { query: { v: 2 } }),
    call(4, "app/getHere"),
    { jsonrpc: "2.0", id: 5 },
    call(6, "app/getR"),
    call(7, "node/getNetworkNodesSelf"),
    call(8, "app/postEcho", { body: "NUMBER" }),
  ]).replace('"NUMBER"', "1.00");
  const answer = network.ask(session, "POST /rpc", text);
  assert.equal(answer.status, 200);
  const answers = JSON.parse(bodyText(answer));
  assert.deepEqual(answers.map(({ id }: { id: number }) => id), [1, 2, 3, 4, 5, 6, 7, 8]);
  const results = answers.map(({ result }: { result: unknown }) => result);
  assert.deepEqual(results.slice(0, 6), ["none", null, "v=1", "none", undefined, "v=2"]);
  assert.equal(results[6].node_id, network.backup.node.id);
  assert.equal(network.commands, 2);
});

networkTest("a batch that the primary does not answer is answered call by call", (network) => {
  const session = client();
  const batch = [call(1, "app/postW"), call(2, "app/getHere"), call(undefined, "app/postW")];
  const codes = (response: HttpResponse) =>
    JSON.parse(bodyText(response)).map((
      { id, result, error }: { id: number; result: unknown; error?: { code: number; data: { status: number } } },
    ) => [id, result ?? error?.code, error?.data.status]);
  const late = network.backup.send(session, "POST /rpc", batch).id;
  network.lose();
  network.backup.forwarder.tick(network.backup.node.steadyMs + 3000);
  assert.deepEqual(codes(network.backup.answers.get(late)!), [[1, -32603, 504], [2, "none", undefined]]);
  network.channelIsOpen = false;
  assert.deepEqual(codes(network.ask(session, "POST /rpc", batch)), [[1, -32603, 503], [2, "none", undefined]]);
  const alone = JSON.parse(bodyText(network.ask(session, "POST /rpc", call(9, "app/postW"))));
  assert.deepEqual([alone.id, alone.error.code], [9, -32603]);
  assert.match(alone.error.message, /^Unable to establish channel/);
  assert.equal(network.ask(session, "POST /rpc", call(undefined, "app/postW")).status, 204);
});

networkTest("calls obey the rules of the interface that they arrived on", (network) => {
  const batch = [call(1, "app/postW"), call(2, "app/postEcho")];
  const [first, second] = JSON.parse(bodyText(network.ask(client("few"), "POST /rpc", batch)));
  assert.deepEqual([first.id, first.result, second.id, second.error.data.status], [1, null, 2, 503]);
  const sent = JSON.parse(bodyText(network.ask(client("redirecting"), "POST /rpc", batch)));
  for (const { error } of sent) assert.equal(error.code, -32001);
  assert.equal(sent[0].error.data.headers.location, "https://n.example:443/app/w");
  network.backup.role.primaryId = undefined;
  const [lost] = JSON.parse(bodyText(network.ask(client("redirecting"), "POST /rpc", batch)));
  assert.equal(lost.error.code, -32005);
}, {
  interfaces: {
    few: { accepted_endpoints: ["/app/w"] },
    redirecting: { redirections: { to_primary: role("primary") } },
  },
});

networkTest("a session that is lost on the primary closes the connection that the calls came on", (network) => {
  network.primary.role.view = 3;
  for (const body of [call(1, "app/postW"), [call(1, "app/postW"), call(2, "app/getHere")]]) {
    const answer = network.ask(client(), "POST /rpc", body);
    assert.equal(answer.close, true);
    assert.match(bodyText(answer), /SessionConsistencyLost/);
  }
});
