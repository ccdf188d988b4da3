import { strict as assert } from "node:assert";
import { object, text } from "../../shared/json_shape.ts";
import { ProblemError } from "../problem.ts";
import { NodeApi, refusalOf, shaped } from "./node_api.ts";

const code = (error: unknown) => error instanceof ProblemError ? error.problem.code : String(error);

async function served<T>(answer: () => Response, ask: (api: NodeApi) => Promise<T>): Promise<T> {
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, answer);
  try {
    return await ask(new NodeApi(`http://127.0.0.1:${server.addr.port}`, {}, "The node"));
  } finally {
    await server.shutdown();
  }
}

Deno.test("NodeApi tells nonsense, refusals and silence of a node apart, each with what to do", async () => {
  const asked = (answer: () => Response) =>
    served(answer, (api) => api.getAs("/node/x", (json) => object({ a: text })(json, "")).then(() => "fine", code));
  assert.equal(await asked(() => Response.json({ a: "b" })), "fine");
  assert.equal(await asked(() => new Response("<html>")), "NodeNonsense");
  assert.equal(await asked(() => Response.json({ a: 1 })), "NodeNonsense");
  assert.equal(await asked(() => Response.json(null)), "NodeNonsense");
  const refusal = { error: { code: "FrontendNotOpen", message: "Frontend is not open" } };
  assert.equal(await asked(() => Response.json(refusal, { status: 404 })), "FrontendNotOpen");
  assert.equal(await asked(() => new Response("", { status: 503 })), "Http503");
});

Deno.test("NodeApi knows what the relay itself answered, and no node may say it was the relay", async () => {
  const relayed = async (headers: Record<string, string>, token: Record<string, string>) => {
    const server = Deno.serve(
      { hostname: "127.0.0.1", port: 0, onListen: () => {} },
      () => new Response("{}", { status: 502, headers }),
    );
    try {
      const { byRelay } = await new NodeApi(`http://127.0.0.1:${server.addr.port}`, token, "The node").ask("/x");
      return byRelay;
    } finally {
      await server.shutdown();
    }
  };
  const token = { "x-quorate-relay-token": "ab" };
  assert.equal(await relayed({}, token), true);
  assert.equal(await relayed({ "x-quorate-relay-peer": "node" }, token), undefined);
  assert.equal(await relayed({}, {}), undefined);
});

Deno.test("NodeApi says that a node which is not there cannot be reached", async () => {
  const port = await served(() => new Response(), (api) => Promise.resolve(api.base));
  await assert.rejects(
    new NodeApi(port, {}, "The node").get("/node/commit"),
    (error) => code(error) === "NodeUnreachable",
  );
});

Deno.test("refusalOf() keeps what the relay says, gives a node no word of the page, and shows any other body", () => {
  const answer = (body: string) => ({ status: 502, headers: new Headers(), body: new TextEncoder().encode(body) });
  const told = { error: { code: "ConnectionRefused", message: "m\u202e" }, what: "w", why: "y", todo: "t" };
  const relays = refusalOf({ ...answer(JSON.stringify(told)), byRelay: true }, "The node", "/x");
  assert.deepEqual([relays.code, relays.what, relays.why, relays.todo], ["ConnectionRefused", "w", "y", "t"]);
  const nodes = refusalOf(answer(JSON.stringify(told)), "The node", "/x");
  assert.deepEqual([nodes.code, nodes.what], ["ConnectionRefused", "The node refused /x"]);
  assert.match(nodes.why, /^It says: m[^\u202e]+$/);
  assert.doesNotMatch(nodes.todo, /^t$/);
  assert.equal(refusalOf(answer("[]"), "The node", "/x").code, "Http502");
  assert.match(refusalOf(answer("<b>"), "The node", "/x").details!, /HTTP 502: <b>/);
});

Deno.test("shaped() hides no bug of ours as nonsense of a node", () => {
  assert.throws(() =>
    shaped({}, "The node", "/x", () => {
      throw new RangeError("ours");
    }), RangeError);
});
