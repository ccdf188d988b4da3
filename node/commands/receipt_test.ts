import { strict as assert } from "node:assert";
import { noblePrimitives } from "../../shared/crypto/primitives.ts";
import { verifyFiles } from "./receipt.ts";

Deno.test("receipt verify blames the service certificate, and not the receipt, for what is none", async () => {
  const file = await Deno.makeTempFile({ prefix: "quorate_receipt_" });
  try {
    for (const text of ["", "x".repeat(100_000), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]) {
      await Deno.writeTextFile(file, text);
      assert.throws(
        () => verifyFiles(noblePrimitives, ["/nowhere/receipt.json"], { serviceCert: file }),
        { name: "UsageError", message: /^Cannot use the service certificate .*quorate_receipt_.*: ./ },
      );
    }
  } finally {
    await Deno.remove(file);
  }
});
