/**
 * Bytes: of memory for each key that the service holds, and of ledger for each transaction.
 */

import { loadNativePrimitives } from "../../enclave/native_primitives.ts";
import { MESSAGE } from "./enclave.ts";
import type { Figure } from "./figure.ts";
import { startInlineService } from "../inline_service.ts";

const KEYS = 200_000;

export async function benchSize(_seconds: number): Promise<Figure[]> {
  const workspace = await Deno.makeTempDir({ prefix: "quorate_bench_" });
  try {
    const { node, userCertificate } = await startInlineService(workspace, "native");
    node.keepEntries = false;
    loadNativePrimitives();
    const write = (i: number) => {
      const body = `{"id":${i},"msg":"${MESSAGE}"}`;
      node.request({ method: "POST", target: "/app/log/private", body, certificate: userCertificate });
    };
    for (let i = 0; i < 20_000; i++) write(i % 100);
    const before = usedBytes();
    const ledgerBefore = node.ledgerBytes;
    for (let i = 0; i < KEYS; i++) write(1_000_000 + i);
    node.advance(2000);
    const ledger = (node.ledgerBytes - ledgerBefore) / KEYS;
    return [
      {
        group: "size",
        what: "memory for a key and a value of 20 bytes",
        value: (usedBytes() - before) / KEYS,
        unit: "bytes",
      },
      {
        group: "size",
        what: "ledger for a private write of 20 bytes, signatures included",
        value: ledger,
        unit: "bytes",
      },
    ];
  } finally {
    await Deno.remove(workspace, { recursive: true });
  }
}

/** With the garbage gone: `deno task bench` exposes V8's collector. */
function usedBytes(): number {
  const collect = (globalThis as { gc?: () => void }).gc;
  if (collect === undefined) {
    throw new Error("Cannot measure memory: run with --v8-flags=--expose-gc, as the task does");
  }
  collect();
  collect();
  const { heapUsed, external } = Deno.memoryUsage();
  return heapUsed + external;
}
