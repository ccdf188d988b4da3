import { strict as assert } from "node:assert";
import type { ServiceFacts } from "../../ledger/protocol.ts";
import type { PinnedService } from "../../service/pin_store.ts";
import { knownServices } from "./known_services.ts";

const pin = (identity: string): PinnedService => ({
  genesisIdentity: "a",
  name: "Bank",
  pin: { serviceIdentity: identity, lastSigned: "2.5", root: "" },
  certificatePem: `pem of ${identity}`,
  url: "",
  verifiedAtMs: 0,
});

const open: ServiceFacts = {
  status: "Open",
  certificatePem: "pem of c",
  identity: "c",
  identities: ["a", "b", "c"].map((identity) => ({ identity, certificatePem: `pem of ${identity}`, fromSeqno: 1 })),
};

Deno.test("knownServices() counts lives of a ledger up to the pin as pinned, and later ones not", () => {
  const known = knownServices([pin("b")], open, pin("b"), undefined);
  assert.deepEqual(known.map(({ certificatePem, known }) => [certificatePem, known]), [
    ["pem of b", "pinned"],
    ["pem of a", "pinned"],
    ["pem of b", "pinned"],
    ["pem of c", "open"],
  ]);
});

Deno.test("knownServices() pins nothing of a ledger that is not pinned, and nothing that was only given", () => {
  const known = knownServices([], open, undefined, "pem of z");
  assert.deepEqual(known.map(({ known }) => known), ["open", "open", "open", "given"]);
  assert.deepEqual(knownServices([], undefined, undefined, undefined), []);
});
