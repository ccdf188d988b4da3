import assert from "node:assert/strict";
import { EC_PRIVATE_KEYS } from "../../tests/openssl_fixtures.ts";
import { teamData, teamTest } from "../../tests/team_data.ts";
import { type EcPrivateKey, generateEcPrivateKey } from "../crypto/ecdsa.ts";
import { parseEcPrivateKeyFile } from "../crypto/key_file.ts";
import { noblePrimitives } from "../crypto/primitives.ts";
import { ecdsaAlgorithm } from "../crypto/public_key.ts";
import { type Certificate, parseCertificate, parseCertificatePem } from "../crypto/x509.ts";
import { type CertificateFields, signCertificate } from "../crypto/x509_build.ts";
import { basicConstraintsExtension, type Extension, keyUsageExtension } from "../crypto/x509_extensions.ts";
import { nameFromText } from "../crypto/x509_name.ts";
import { AMD_ROOTS } from "./anchors.ts";
import { checkEvidenceChain, type EvidenceChainOptions, pinOf } from "./evidence_chain.ts";

const NOW = Date.UTC(2026, 6, 1);
const rootKey = parseEcPrivateKeyFile(EC_PRIVATE_KEYS["P-384"]);
const middleKey = parseEcPrivateKeyFile(EC_PRIVATE_KEYS["P-256"]);
const leafKey = generateEcPrivateKey("P-256", (length) => new Uint8Array(length).fill(7));
const CA = basicConstraintsExtension({ ca: true, pathLength: undefined });
const CA_OF_LEAVES = basicConstraintsExtension({ ca: true, pathLength: 0 });

function certificate(
  subject: string,
  key: EcPrivateKey,
  issuer: string,
  issuerKey: EcPrivateKey,
  extensions: readonly Extension[],
  change: Partial<CertificateFields> = {},
): Certificate {
  const fields: CertificateFields = {
    serial: Uint8Array.of(1),
    signatureAlgorithm: ecdsaAlgorithm(issuerKey.curve === "P-384" ? "SHA-384" : "SHA-256"),
    issuer: nameFromText(issuer),
    notBeforeMs: Date.UTC(2026, 0, 1),
    notAfterMs: Date.UTC(2027, 0, 1) - 1000,
    subject: nameFromText(subject),
    spki: key.publicKey.spki,
    extensions,
    ...change,
  };
  return parseCertificate(signCertificate(fields, issuerKey));
}

const root = certificate("CN=root", rootKey, "CN=root", rootKey, [CA]);
const middle = certificate("CN=middle", middleKey, "CN=root", rootKey, [CA_OF_LEAVES]);
const leaf = certificate("CN=leaf", leafKey, "CN=middle", middleKey, []);
const pins = [pinOf(root)];

function answer(
  chain: readonly Certificate[],
  at: number | "ignore dates" = NOW,
  options: EvidenceChainOptions = { pins },
): string {
  const refusal = checkEvidenceChain(noblePrimitives, chain, at, options);
  return refusal === undefined ? "holds" : `${refusal.code}: ${refusal.detail}`;
}

Deno.test("checkEvidenceChain() accepts a chain to a pinned root, and to any root where the caller says so", () => {
  assert.equal(answer([leaf, middle, root]), "holds");
  assert.equal(answer([middle, root]), "holds");
  assert.equal(answer([leaf, middle, root], NOW, { pins: ["00", ...pins] }), "holds");
  assert.match(
    answer([leaf, middle, root], NOW, { pins: [] }),
    /^untrusted_root: "CN=root" has the key [0-9a-f]{64}, /,
  );
  assert.equal(answer([leaf, middle, root], NOW, { pins: "any root" }), "holds");
});

Deno.test("checkEvidenceChain() says which link is broken", () => {
  const leafOf = (...extensions: Extension[]) => certificate("CN=leaf", leafKey, "CN=middle", middleKey, extensions);
  const middleOf = (...extensions: Extension[]) => certificate("CN=middle", middleKey, "CN=root", rootKey, extensions);
  const strange = { oid: "1.2.3.4", critical: true, value: new Uint8Array() };
  const forgedLeaf = certificate("CN=leaf", leafKey, "CN=middle", leafKey, []);
  const forgedMiddle = certificate("CN=middle", middleKey, "CN=root", leafKey, [CA], {
    signatureAlgorithm: ecdsaAlgorithm("SHA-256"),
  });
  // Has the pinned key, but other dates and a signature of nobody.
  const forgedRoot = certificate("CN=root", rootKey, "CN=root", leafKey, [CA], {
    notAfterMs: Date.UTC(2040, 0, 1),
    signatureAlgorithm: ecdsaAlgorithm("SHA-256"),
  });
  const low = certificate("CN=low", leafKey, "CN=middle", middleKey, [CA]);
  const lowest = certificate("CN=lowest", leafKey, "CN=low", leafKey, []);
  const table: [Certificate[], string][] = [
    [[], "chain_invalid: the chain has 0 certificates and must have 2 to 6, its root included"],
    [[root], "chain_invalid: the chain has 1 certificates and must have 2 to 6, its root included"],
    [
      new Array<Certificate>(7).fill(root),
      "chain_invalid: the chain has 7 certificates and must have 2 to 6, its root included",
    ],
    [[leaf, root], 'chain_invalid: "CN=leaf" was issued by another than "CN=root"'],
    [[middle, leaf, root], 'chain_invalid: "CN=middle" was issued by another than "CN=leaf"'],
    [[leaf, middle], 'chain_invalid: "CN=middle" was issued by another than itself'],
    [[leaf, middleOf(), root], 'chain_invalid: "CN=middle" is not a certificate authority'],
    [
      [leaf, middleOf(CA, keyUsageExtension("digitalSignature")), root],
      'chain_invalid: "CN=middle" may not sign certificates',
    ],
    [[lowest, low, middle, root], 'chain_invalid: "CN=middle" allows 0 certificates below it, not 1'],
    [
      [leafOf(strange), middle, root],
      'chain_invalid: "CN=leaf" has a critical extension that is not understood, 1.2.3.4',
    ],
    [
      [leaf, middle, certificate("CN=root", rootKey, "CN=root", rootKey, [CA, strange])],
      'chain_invalid: "CN=root" has a critical extension that is not understood, 1.2.3.4',
    ],
    [
      [leafOf(keyUsageExtension("keyAgreement")), middle, root],
      'chain_invalid: "CN=leaf" has a key for other uses than digitalSignature',
    ],
    [
      [leaf, middleOf({ ...CA, value: new Uint8Array() }), root],
      "chain_invalid: Cannot read basic constraints: the outermost SEQUENCE is missing",
    ],
    [[forgedLeaf, middle, root], 'chain_invalid: "CN=middle" did not sign "CN=leaf"'],
    [[leaf, forgedMiddle, root], 'chain_invalid: "CN=root" did not sign "CN=middle"'],
    [[leaf, middle, forgedRoot], 'chain_invalid: "CN=root" did not sign "CN=root"'],
  ];
  for (const [chain, expected] of table) assert.equal(answer(chain), expected);
  assert.equal(
    answer([leafOf(keyUsageExtension("keyAgreement")), middle, root], NOW, {
      pins,
      leafUsages: ["digitalSignature", "keyAgreement"],
    }),
    "holds",
  );
});

Deno.test("checkEvidenceChain() wants every certificate valid at the moment, unless dates are ignored", () => {
  const lastMs = leaf.notAfterMs + 999;
  assert.equal(answer([leaf, middle, root], leaf.notBeforeMs), "holds");
  assert.equal(answer([leaf, middle, root], lastMs), "holds");
  assert.equal(
    answer([leaf, middle, root], leaf.notBeforeMs - 1000),
    'cert_not_valid_at_time: "CN=leaf" is not valid yet at 2025-12-31T23:59:59Z: ' +
      "it is valid from 2026-01-01T00:00:00Z to 2026-12-31T23:59:59Z",
  );
  assert.match(answer([leaf, middle, root], lastMs + 1), /^cert_not_valid_at_time: "CN=leaf" has expired at 2027/);
  const oldRoot = certificate("CN=root", rootKey, "CN=root", rootKey, [CA], { notAfterMs: Date.UTC(2026, 1, 1) });
  assert.match(answer([leaf, middle, oldRoot]), /^cert_not_valid_at_time: "CN=root" has expired/);
  assert.equal(answer([leaf, middle, oldRoot], "ignore dates"), "holds");
});

Deno.test("checkEvidenceChain() makes no signature check for a chain that is wrong without one", () => {
  let checks = 0;
  const counting = {
    ecdsaVerifyHashed: () => {
      checks++;
      return false;
    },
  };
  checkEvidenceChain(counting, [leaf, middle, root], NOW, { pins: [] });
  checkEvidenceChain(counting, [leaf, middle, root], Date.UTC(2030, 0, 1), { pins });
  checkEvidenceChain(counting, [leaf, root], NOW, { pins });
  assert.equal(checks, 0);
  checkEvidenceChain(counting, [leaf, middle, root], NOW, { pins });
  assert.equal(checks, 1, "the first that fails ends it");
});

teamTest("checkEvidenceChain() accepts AMD's chains", () => {
  const pem = (name: string) =>
    parseCertificatePem(Deno.readTextFileSync(teamData(`attestation/vectors/roots/${name}.pem`)));
  for (const product of ["Milan", "Genoa", "Turin"] as const) {
    const pins = [AMD_ROOTS[product].spkiSha256];
    const ark = pem(`ark-${product.toLowerCase()}`);
    assert.equal(
      answer([pem(`ask-${product.toLowerCase()}`), ark], NOW, { pins, leafUsages: ["keyCertSign"] }),
      "holds",
    );
  }
  const vek = parseCertificate(Deno.readFileSync(teamData("attestation/vectors/snp/snp-turin-v5-aci/vek.der")));
  const chain = [vek, pem("ask-turin"), pem("ark-turin")];
  assert.equal(answer(chain, NOW, { pins: [AMD_ROOTS.Turin.spkiSha256] }), "holds");
  assert.match(answer(chain, NOW, { pins: [AMD_ROOTS.Milan.spkiSha256] }), /^untrusted_root/);
});
