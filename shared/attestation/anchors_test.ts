import assert from "node:assert/strict";
import { sha256 } from "@noble/hashes/sha2.js";
import { teamData, teamTest } from "../../tests/team_data.ts";
import { toHex } from "../bytes.ts";
import { parseCertificatePem } from "../crypto/x509.ts";
import { nameToText } from "../crypto/x509_name.ts";
import { AMD_ROOTS, INTEL_SGX_ROOT } from "./anchors.ts";

teamTest("the pinned anchors are the roots that AMD and Intel publish", () => {
  const files = { Milan: "ark-milan", Genoa: "ark-genoa", Turin: "ark-turin" } as const;
  const anchors = [
    ...Object.entries(AMD_ROOTS).map(([product, anchor]) => [files[product as keyof typeof files], anchor] as const),
    ["intel-sgx-root-ca", INTEL_SGX_ROOT] as const,
  ];
  assert.equal(anchors.length, 4);
  for (const [file, anchor] of anchors) {
    const root = parseCertificatePem(Deno.readTextFileSync(teamData(`attestation/vectors/roots/${file}.pem`)));
    assert.deepEqual(
      { spki: toHex(sha256(root.spki)), certificate: toHex(sha256(root.der)) },
      { spki: anchor.spkiSha256, certificate: anchor.certificateSha256 },
    );
    assert.match(nameToText(root.subject), new RegExp(`(^|,)CN=${anchor.name}(,|$)`));
    assert.equal(new Date(root.notAfterMs).toISOString().slice(0, 10), anchor.ends);
  }
});
