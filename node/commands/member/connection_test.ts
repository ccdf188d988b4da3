import { strict as assert } from "node:assert";
import { join } from "node:path";
import { makeTlsService } from "../../../tests/tls_service.ts";
import { toUtf8 } from "../../../shared/bytes.ts";
import { MAX_COMMIT_QUESTIONS, MAX_MEMBER_ANSWER_BYTES, MAX_NODE_REDIRECTS } from "../../../shared/limits.ts";
import { UsageError } from "../exit.ts";
import { Unreachable } from "../node_client.ts";
import { connectTo, GovernanceClient, type NodeAnswer, type NodeConnection, Refusal } from "./connection.ts";

/** Two nodes of one service and one of another, which answer as they are told; and the service's certificate. */
class Network implements AsyncDisposable {
  readonly #folder = Deno.makeTempDirSync({ prefix: "quorate_connection_" });
  readonly #servers: Deno.HttpServer<Deno.NetAddr>[] = [];
  readonly asked: string[] = [];
  readonly serviceCert = join(this.#folder, "service_cert.pem");
  readonly #own = makeTlsService("own");

  constructor() {
    Deno.writeTextFileSync(this.serviceCert, this.#own.service);
  }

  node(
    answer: (request: Request) => Response,
    { certificate, key } = this.#own as { certificate: string; key: string },
  ) {
    const server = Deno.serve(
      { hostname: "127.0.0.1", port: 0, cert: certificate, key, onListen: () => {} },
      async (request) => {
        const { pathname, search } = new URL(request.url);
        const type = request.headers.get("content-type");
        this.asked.push(`${request.method} ${pathname}${search} ${type} ${await request.text()}`);
        return answer(request);
      },
    );
    this.#servers.push(server);
    return `https://127.0.0.1:${server.addr.port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const server of this.#servers) await server.shutdown();
    Deno.removeSync(this.#folder, { recursive: true });
  }
}

const redirect = (location: string, status = 307) => new Response(null, { status, headers: { location } });

Deno.test("A connection sends signed requests as COSE, and follows a node that names the primary, body and all", async () => {
  await using network = new Network();
  const date = "Tue, 24 Nov 2026 10:00:00 GMT";
  const primary = network.node(() =>
    new Response("{}", { status: 403, headers: { "x-ms-ccf-transaction-id": "2.7", date } })
  );
  const backup = network.node((request) => redirect(`${primary}${new URL(request.url).pathname}?api-version=1`));
  const connection = connectTo(backup, network.serviceCert);
  try {
    const answer = await connection.exchange("POST", "/gov/x?api-version=1", toUtf8("signed"));
    assert.deepEqual(answer, { status: 403, body: toUtf8("{}"), txId: "2.7", dateMs: Date.parse(date) });
    const request = "POST /gov/x?api-version=1 application/cose signed";
    assert.deepEqual(network.asked, [request, request]);
  } finally {
    connection.close();
  }
});

Deno.test("A connection trusts no other service, wherever it is sent, and does not go round in circles", async () => {
  await using network = new Network();
  const stranger = network.node(() => new Response("{}"), makeTlsService("other"));
  const circle: string = network.node((request) => redirect(request.url, 308));
  const cases: [url: string, message: RegExp][] = [
    [network.node(() => redirect(`${stranger}/gov/x`)), /invalid peer certificate/],
    [
      network.node(() => redirect("http://127.0.0.1:1/gov/x")),
      /nodes name each other and none answers, the last http:/,
    ],
    [network.node(() => redirect("https://[")), /none answers/],
    [circle, /nodes name each other and none answers/],
  ];
  for (const [url, message] of cases) {
    network.asked.length = 0;
    const connection = connectTo(url, network.serviceCert);
    await assert.rejects(connection.exchange("GET", "/gov/x"), (error: Error) => {
      assert(error instanceof Unreachable);
      assert.match(error.message, message);
      return true;
    });
    connection.close();
    assert.equal(network.asked.length, url === circle ? MAX_NODE_REDIRECTS + 1 : 1);
  }
});

Deno.test("A connection reads no more of an answer than its maximum", async () => {
  await using network = new Network();
  const piece = new Uint8Array(1024 * 1024);
  const endless = network.node(() =>
    new Response(new ReadableStream({ pull: (controller) => controller.enqueue(piece) }))
  );
  const connection = connectTo(endless, network.serviceCert);
  try {
    const message = `Cannot read an answer of more than ${MAX_MEMBER_ANSWER_BYTES} bytes`;
    await assert.rejects(connection.exchange("GET", "/gov/x"), { name: "FormatError", message });
  } finally {
    connection.close();
  }
});

Deno.test("connectTo() takes the address of a node and nothing else", () => {
  for (const url of ["", "127.0.0.1:8000", "http://127.0.0.1", "https://a/app", "https://a/?b", "https://me@a/"]) {
    assert.throws(() => connectTo(url, "/nowhere"), (error) => {
      assert(error instanceof UsageError && /must look like "https:\/\/127/.test(error.message), String(error));
      return true;
    });
  }
});

/** A client whose node answers these bodies, one after the other, the last for ever. */
function clientOf(...answers: readonly [status: number, body: string][]) {
  let asked = 0;
  const exchange = (): Promise<NodeAnswer> => {
    const [status, body] = answers[Math.min(asked++, answers.length - 1)]!;
    return Promise.resolve({ status, body: toUtf8(body), txId: undefined, dateMs: undefined });
  };
  const connection: NodeConnection = { exchange, close: () => {} };
  return { client: new GovernanceClient(connection), asked: () => asked };
}

Deno.test("GovernanceClient says so where a node answers something else than governance does", async () => {
  for (const body of ["", "{", "[]", '{"value":1}', '{"value":[{"proposalId":1}]}']) {
    await assert.rejects(clientOf([200, body]).client.proposals(), {
      name: "FormatError",
      message: /^Cannot read what the node answers: /,
    });
  }
  const { client } = clientOf([503, "busy"]);
  await assert.rejects(client.members(), (error) => {
    assert(error instanceof Refusal);
    assert.deepEqual([error.answer.status, error.code, error.message], [503, "", "busy"]);
    return true;
  });
});

Deno.test("GovernanceClient.outcomeOf() asks until a transaction is final, and not for ever", async () => {
  const pending: [number, string] = [200, '{"status":"Pending","transactionId":"2.7"}'];
  let waits = 0;
  const wait = () => Promise.resolve(void waits++);
  const committed = clientOf(pending, pending, [200, '{"status":"Committed","transactionId":"2.7"}']);
  assert.deepEqual([await committed.client.outcomeOf("2.7", wait), waits], ["Committed", 2]);
  const lost = clientOf([200, '{"status":"Invalid","transactionId":"2.7"}']);
  assert.equal(await lost.client.outcomeOf("2.7", wait), "Invalid");
  const slow = clientOf(pending);
  assert.equal(await slow.client.outcomeOf("2.7", wait), "Pending");
  assert.equal(slow.asked(), MAX_COMMIT_QUESTIONS);
});
