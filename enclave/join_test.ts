import { strict as assert } from "node:assert";
import type { HttpResponse } from "./messages.ts";
import { loadNativePowers } from "./native_powers.ts";
import { toUtf8 } from "../shared/bytes.ts";
import { InlineNode, type OutsideOutput } from "../tests/inline_node.ts";
import { startInlineService } from "../tests/inline_service.ts";

type Question = OutsideOutput & { readonly kind: "httpRequest" };

/** A node that asks every 100 ms, and is answered by the test. */
async function withJoiner(
  run: (joiner: InlineNode, asked: readonly Question[], answer: Answer) => void,
): Promise<void> {
  const workspace = await Deno.makeTempDir({ prefix: "quorate_join_" });
  try {
    const powers = await loadNativePowers();
    const { node: first, config } = await startInlineService(workspace, "native", { powers });
    const { service: _, ...common } = config;
    const joiner = InlineNode.join(powers, {
      ...common,
      logLevel: "info",
      servicePem: first.servicePem,
      targetAddress: "service.example:443",
      retryTimeoutMs: 100,
      followRedirect: true,
    }, first.nowMs);
    const asked: Question[] = [];
    joiner.outside = (output) => void (output.kind === "httpRequest" && asked.push(output));
    joiner.advance(0);
    run(joiner, asked, (response) => {
      joiner.send({ kind: "httpResult", id: asked.at(-1)!.id, response });
      joiner.advance(100);
    });
  } finally {
    await Deno.remove(workspace, { recursive: true });
  }
}

type Answer = (response: HttpResponse | null) => void;

const redirect = (address: string): HttpResponse => ({
  status: 308,
  headers: [["location", `https://${address}/node/join`]],
  body: new Uint8Array(),
});

Deno.test("Joining goes back to the configured address where the node that it was sent to does not answer", async () => {
  await withJoiner((_, asked, answer) => {
    answer(redirect("10.0.0.1:443"));
    answer(null);
    answer(redirect("10.0.0.2:443"));
    answer({ status: 503, headers: [], body: new Uint8Array() });
    assert.deepEqual(asked.map(({ address }) => address), [
      "service.example:443",
      "10.0.0.1:443",
      "service.example:443",
      "10.0.0.2:443",
      "service.example:443",
    ]);
  });
});

Deno.test("a node that waits says so once a minute, and at once what has changed", async () => {
  await withJoiner((joiner, asked, answer) => {
    const lines = () => joiner.logs.filter((line) => / join /.test(line)).length;
    const pending = {
      status: 200,
      headers: [],
      body: toUtf8(`{"node_id":"${joiner.nodeId}","node_status":"Pending"}`),
    };
    for (let i = 0; i < 590; i++) answer(pending);
    assert.deepEqual([asked.length, lines()], [591, 1]);
    for (let i = 0; i < 20; i++) answer(pending);
    assert.equal(lines(), 2, "a minute has passed");
    answer(null);
    assert.equal(lines(), 3);
    for (let i = 0; i < 20; i++) {
      answer(redirect("10.0.0.1:443"));
      answer(null);
    }
    assert.equal(lines(), 4, "where it is sent, and no more of what comes of it");
  });
});
