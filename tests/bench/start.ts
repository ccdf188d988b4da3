/**
 * How long a newcomer waits: from `deno task run node` to a receipt that has been verified.
 */

import { join } from "node:path";
import { run, RunningSandbox } from "../e2e/sandbox.ts";
import type { Figure } from "./figure.ts";

export async function benchStart(_seconds: number): Promise<Figure[]> {
  const begin = performance.now();
  const elapsed = () => (performance.now() - begin) / 1000;
  await using sandbox = await RunningSandbox.start();
  const opened = elapsed();
  const written = await sandbox.request("POST", "/app/log/private", { as: "user0", body: '{"id":42,"msg":"hello"}' });
  const txId = written.headers.get("x-ms-ccf-transaction-id");
  const receipt = await sandbox.eventually("GET", `/app/receipt?transaction_id=${txId}`, { as: "user0" });
  const file = join(sandbox.workspace, "receipt.json");
  await Deno.writeTextFile(file, receipt.text);
  const { code } = await run("receipt", "verify", file, "--service-cert", sandbox.credential("service_cert.pem"));
  if (code !== 0) throw new Error("The receipt does not verify");
  return [
    { group: "start", what: "from the command to an open service", value: opened, unit: "s" },
    {
      group: "start",
      what: "from the command to a verified receipt",
      value: elapsed(),
      unit: "s",
      target: 5,
      note: "a signature is due each second",
    },
  ];
}
