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

Deno.test("NodeApi says that a node which is not there cannot be reached", async () => {
  const port = await served(() => new Response(), (api) => Promise.resolve(api.base));
  await assert.rejects(
    new NodeApi(port, {}, "The node").get("/node/commit"),
    (error) => code(error) === "NodeUnreachable",
  );
});

Deno.test("refusalOf() keeps what the relay says, and shows any other body as it is", () => {
  const answer = (body: string) => ({ status: 502, headers: new Headers(), body: new TextEncoder().encode(body) });
  const relay = { error: { code: "ConnectionRefused", message: "m" }, what: "w", why: "y", todo: "t" };
  const { code, what, why, todo } = refusalOf(answer(JSON.stringify(relay)), "The node", "/x");
  assert.deepEqual([code, what, why, todo], ["ConnectionRefused", "w", "y", "t"]);
  assert.equal(refusalOf(answer("[]"), "The node", "/x").code, "Http502");
  assert.match(refusalOf(answer("<b>"), "The node", "/x").details!, /HTTP 502: <b>/);
});

Deno.test("shaped() hides no bug of ours as nonsense of a node", () => {
  assert.throws(() =>
    shaped({}, "The node", "/x", () => {
      throw new RangeError("ours");
    }), RangeError);
});
