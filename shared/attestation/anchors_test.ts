import assert from "node:assert/strict";
import { sha256 } from "@noble/hashes/sha2.js";
import { teamData, teamTest } from "../../tests/team_data.ts";
import { toHex } from "../bytes.ts";
import { parseCertificatePem } from "../crypto/x509.ts";
import { nameToText } from "../crypto/x509_name.ts";
import { fromFileUrl } from "../../tests/paths.ts";
import { AMD_ROOTS, INTEL_SGX_ROOT, MICROSOFT_UVM_ROOT } from "./anchors.ts";

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

Deno.test("the README lists the pinned anchors", () => {
  const readme = Deno.readTextFileSync(fromFileUrl(new URL("../README.md", import.meta.url)));
  const rows = [...readme.matchAll(/^\| (\S.*?) +\| ([0-9a-f]{64}) \| (\d{4}-\d\d-\d\d) \|$/gm)].map((row) =>
    row.slice(1)
  );
  assert.deepEqual(rows, [
    ...[...Object.values(AMD_ROOTS), INTEL_SGX_ROOT].map(({ name, spkiSha256, ends }) => [name, spkiSha256, ends]),
    [MICROSOFT_UVM_ROOT.name, MICROSOFT_UVM_ROOT.certificateSha256, MICROSOFT_UVM_ROOT.ends],
  ]);
});
