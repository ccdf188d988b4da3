/**
 * A long ledger as files, as its owner would drop them on the page: signed, chunked, of a service like the sandbox's.
 */

import { join } from "node:path";
import { startInlineService } from "../inline_service.ts";

/** One write in so many is public, so that the fold has a table that grows. */
const PUBLIC_EVERY = 10;
const IDS = 1000;
/** So that an entry has about 300 bytes. */
const PADDING = ".".repeat(60);

/** @returns paths of the files */
export async function writeLongLedger(folder: string, entries: number): Promise<string[]> {
  const { node, userCertificate } = await startInlineService(folder, "native");
  for (let i = 0; node.entries.length < entries - 1; i++) {
    const target = i % PUBLIC_EVERY === 0 ? "/app/log/public" : "/app/log/private";
    const body = `{"id":${i % IDS},"msg":"message ${i} ${PADDING}"}`;
    node.request({ method: "POST", target, body, certificate: userCertificate });
  }
  // A signature is due, which ends the ledger.
  node.advance(2000);
  node.send({ kind: "stop" });
  const ledger = join(folder, "ledger");
  await Deno.mkdir(ledger);
  return await Promise.all([...node.ledgerFiles()].map(async ([name, bytes]) => {
    const path = join(ledger, name);
    await Deno.writeFile(path, bytes);
    return path;
  }));
}
