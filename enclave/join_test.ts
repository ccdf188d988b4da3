import { strict as assert } from "node:assert";
import type { HttpResponse } from "./messages.ts";
import { loadNativePowers } from "./native_powers.ts";
import { InlineNode, type OutsideOutput } from "../tests/inline_node.ts";
import { startInlineService } from "../tests/inline_service.ts";

type Question = OutsideOutput & { readonly kind: "httpRequest" };

Deno.test("Joining goes back to the configured address where the node that it was sent to does not answer", async () => {
  const workspace = await Deno.makeTempDir({ prefix: "quorate_join_" });
  try {
    const powers = await loadNativePowers();
    const { node: first, config } = await startInlineService(workspace, "native", { powers });
    const { service: _, ...common } = config;
    const joiner = InlineNode.join(powers, {
      ...common,
      servicePem: first.servicePem,
      targetAddress: "service.example:443",
      retryTimeoutMs: 100,
      followRedirect: true,
    }, first.nowMs);
    const asked: Question[] = [];
    joiner.outside = (output) => void (output.kind === "httpRequest" && asked.push(output));
    const answer = (response: HttpResponse | null) => {
      joiner.send({ kind: "httpResult", id: asked.at(-1)!.id, response });
      joiner.advance(100);
    };
    const redirect = (address: string): HttpResponse => ({
      status: 308,
      headers: [["location", `https://${address}/node/join`]],
      body: new Uint8Array(),
    });
    joiner.advance(0);
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
  } finally {
    await Deno.remove(workspace, { recursive: true });
  }
});
