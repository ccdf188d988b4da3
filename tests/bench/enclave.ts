/**
 * The enclave alone, without HTTP parsing, TLS or threads: batches of requests through `Enclave.handle`.
 */

import assert from "node:assert/strict";
import { toUtf8 } from "../../shared/bytes.ts";
import type { EnclaveInput } from "../../enclave/messages.ts";
import type { Figure } from "./figure.ts";
import { startInlineService } from "../inline_service.ts";

const BATCH = 32;
/** Different IDs that are written. */
const VARIANTS = 100;
/** Twenty characters. */
export const MESSAGE = "twenty characters...";

export async function benchEnclave(seconds: number): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const [app, target] of [["native", 30_000], ["js", 12_000]] as const) {
    const workspace = await Deno.makeTempDir({ prefix: "quorate_bench_" });
    try {
      const { node, userCertificate } = await startInlineService(workspace, app);
      const session = node.session("primary_rpc_interface", userCertificate);
      const run = (request: (i: number) => EnclaveInput, forSeconds: number): number => {
        const begin = performance.now();
        let count = 0;
        while (performance.now() - begin < forSeconds * 1000) {
          const batch: EnclaveInput[] = [];
          for (let i = 0; i < BATCH; i++) batch.push(request(count++));
          for (const output of node.enclave.handle(batch, Date.now())) {
            if (output.kind === "response") assert.equal(output.response.status, 200, "a refusal is no figure");
          }
        }
        return count / ((performance.now() - begin) / 1000);
      };
      const write = (i: number): EnclaveInput => ({
        kind: "request",
        session,
        id: i,
        request: {
          method: "POST",
          target: "/app/log/private",
          headers: [["host", "127.0.0.1"], ["content-type", "application/json"], ["content-length", "40"]],
          body: toUtf8(`{"id":${i % VARIANTS},"msg":"${MESSAGE}"}`),
        },
      });
      const read = (i: number): EnclaveInput => ({
        kind: "request",
        session,
        id: i,
        request: {
          method: "GET",
          target: `/app/log/private?id=${i % VARIANTS}`,
          headers: [["host", "127.0.0.1"]],
          body: new Uint8Array(),
        },
      });
      run(write, 1);
      figures.push(
        { group: "enclave", what: `${app} app, private writes`, value: run(write, seconds), unit: "tx/s", target },
        { group: "enclave", what: `${app} app, private reads`, value: run(read, seconds), unit: "requests/s" },
      );
    } finally {
      await Deno.remove(workspace, { recursive: true });
    }
  }
  return figures;
}
