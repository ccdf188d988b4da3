import { strict as assert } from "node:assert";
import { toHex } from "../bytes.ts";
import { CERTIFICATES, EC_PRIVATE_KEYS } from "../../tests/openssl_fixtures.ts";
import { realPemBlocks } from "../../tests/real_pem.ts";
import { teamTest } from "../../tests/team_data.ts";
import { type EcPrivateKey, generateEcPrivateKey } from "./ecdsa.ts";
import { parseEcPrivateKeyFile } from "./key_file.ts";
import { noblePrimitives } from "./primitives.ts";
import { ecdsaAlgorithm } from "./public_key.ts";
import { type Certificate, parseCertificate, parseCertificatePem } from "./x509.ts";
import { type CertificateFields, signCertificate } from "./x509_build.ts";
import { verifyChain } from "./x509_chain.ts";
import {
  authorityKeyIdentifierExtension,
  basicConstraintsExtension,
  type Extension,
  keyIdentifierOf,
  keyUsageExtension,
  subjectKeyIdentifierExtension,
} from "./x509_extensions.ts";
import { nameFromText, nameToText } from "./x509_name.ts";

const NOW = Date.UTC(2026, 6, 1);

const rootKey = parseEcPrivateKeyFile(EC_PRIVATE_KEYS["P-384"]);
const middleKey = parseEcPrivateKeyFile(EC_PRIVATE_KEYS["P-256"]);
const leafKey = generateEcPrivateKey("P-256", (length) => new Uint8Array(length).fill(7));
const otherKey = generateEcPrivateKey("P-256", (length) => new Uint8Array(length).fill(9));

const CA = basicConstraintsExtension({ ca: true, pathLength: undefined });
const pathLength = (length: number) => basicConstraintsExtension({ ca: true, pathLength: length });
const SIGNS = keyUsageExtension("keyCertSign");

let serial = 0;

/** A certificate of `subject` with `key`, signed in the name of `issuer` by `issuerKey`. */
function certificate(
  subject: string,
  key: EcPrivateKey,
  issuer: string,
  issuerKey: EcPrivateKey,
  extensions: readonly Extension[],
  change: Partial<CertificateFields> = {},
): Certificate {
  const fields: CertificateFields = {
    serial: Uint8Array.of(++serial),
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

const root = certificate("CN=root", rootKey, "CN=root", rootKey, [CA, SIGNS]);
const middle = certificate("CN=middle", middleKey, "CN=root", rootKey, [pathLength(0), SIGNS]);
const leaf = certificate("CN=leaf", leafKey, "CN=middle", middleKey, []);

function verdict(
  leaf: Certificate,
  intermediates: readonly Certificate[],
  trusted: readonly Certificate[],
  nowMs: number | "ignore dates" = NOW,
): string {
  const answer = verifyChain(noblePrimitives, leaf, intermediates, trusted, nowMs);
  return answer.verdict === "rejected"
    ? answer.reason
    : answer.path.map(({ subject }) => nameToText(subject)).join(" < ");
}

Deno.test("verifyChain() finds the path to a trusted certificate", () => {
  assert.equal(verdict(leaf, [middle], [root]), "CN=leaf < CN=middle < CN=root");
  assert.equal(verdict(leaf, [root, middle, leaf], [root]), "CN=leaf < CN=middle < CN=root");
  assert.equal(verdict(root, [], [root]), "CN=root");
  assert.equal(verdict(leaf, [], [leaf]), "CN=leaf", "any certificate may be trusted");
  assert.equal(verdict(leaf, [], [middle]), "CN=leaf < CN=middle", "an intermediate too");
});

Deno.test("verifyChain() says why there is no path", () => {
  const forged = certificate("CN=leaf", leafKey, "CN=middle", otherKey, []);
  const noAuthority = certificate("CN=middle", middleKey, "CN=root", rootKey, []);
  const falseAuthority = certificate("CN=middle", middleKey, "CN=root", rootKey, [
    basicConstraintsExtension({ ca: false, pathLength: undefined }),
  ]);
  const mayNot = certificate("CN=middle", middleKey, "CN=root", rootKey, [CA, keyUsageExtension("digitalSignature")]);
  const low = certificate("CN=low", otherKey, "CN=middle", middleKey, [CA]);
  const lowest = certificate("CN=leaf", leafKey, "CN=low", otherKey, []);
  const strange = certificate("CN=leaf", leafKey, "CN=middle", middleKey, [
    { oid: "1.2.3.4", critical: true, value: new Uint8Array() },
  ]);
  const constrained = certificate("CN=middle", middleKey, "CN=root", rootKey, [
    CA,
    { oid: "2.5.29.30", critical: false, value: new Uint8Array() },
  ]);
  const broken = certificate("CN=middle", middleKey, "CN=root", rootKey, [{ ...CA, value: new Uint8Array() }]);
  const table: [leaf: Certificate, intermediates: Certificate[], trusted: Certificate[], reason: string][] = [
    [leaf, [], [root], 'no certificate that issued "CN=leaf" is at hand'],
    [leaf, [middle], [], 'no certificate that issued "CN=middle" is at hand'],
    [forged, [middle], [root], '"CN=middle" did not sign "CN=leaf"'],
    [leaf, [noAuthority], [root], '"CN=middle" is not a certificate authority'],
    [leaf, [falseAuthority], [root], '"CN=middle" is not a certificate authority'],
    [leaf, [mayNot], [root], '"CN=middle" may not sign certificates'],
    [lowest, [low, middle], [root], '"CN=middle" allows 0 certificates below it, not 1'],
    [strange, [middle], [root], '"CN=leaf" has a critical extension that is not understood, 1.2.3.4'],
    [leaf, [constrained], [root], '"CN=middle" constrains names'],
    [
      leaf,
      [broken],
      [root],
      '"CN=middle" cannot be used: Cannot read basic constraints: the outermost SEQUENCE is missing',
    ],
  ];
  for (const [leaf, intermediates, trusted, reason] of table) {
    assert.equal(verdict(leaf, intermediates, trusted), reason);
  }
});

Deno.test("verifyChain() repeats no more than the beginning of a long name", () => {
  const long = `O=${"x".repeat(64)}`;
  const leaf = certificate(new Array(20).fill(long).join(","), leafKey, "CN=other", middleKey, []);
  const reason = verdict(leaf, [middle], [root]);
  assert.ok(reason.startsWith('no certificate that issued "O=xxx') && reason.endsWith('x…" is at hand'), reason);
  assert.ok(reason.length < 250, `${reason.length} characters`);
});

Deno.test("verifyChain() wants every certificate valid, the trusted one too, unless dates are ignored", () => {
  const { notBeforeMs, notAfterMs } = leaf;
  assert.equal(verdict(leaf, [middle], [root], notBeforeMs), "CN=leaf < CN=middle < CN=root");
  assert.equal(verdict(leaf, [middle], [root], notBeforeMs - 1), '"CN=leaf" is not valid yet');
  assert.equal(verdict(leaf, [middle], [root], notAfterMs + 1000), '"CN=leaf" has expired');
  const old = certificate("CN=root", rootKey, "CN=root", rootKey, [CA], { notAfterMs: Date.UTC(2026, 1, 1) });
  assert.equal(verdict(leaf, [middle], [old]), '"CN=root" has expired');
  assert.equal(verdict(leaf, [middle], [old], "ignore dates"), "CN=leaf < CN=middle < CN=root");
});

Deno.test("verifyChain() does not count self-issued certificates against a path length", () => {
  const service = certificate("CN=service", rootKey, "CN=service", rootKey, [pathLength(1)]);
  const older = certificate("CN=service", middleKey, "CN=service", rootKey, [pathLength(1)]);
  const oldest = certificate("CN=service", otherKey, "CN=service", middleKey, [pathLength(1)]);
  const node = certificate("CN=node", leafKey, "CN=service", otherKey, []);
  assert.equal(
    verdict(node, [older, oldest], [service]),
    "CN=node < CN=service < CN=service < CN=service",
  );
});

Deno.test("verifyChain() picks among issuers of one name by key identifier, and by trying", () => {
  const identified = (key: EcPrivateKey) => subjectKeyIdentifierExtension(keyIdentifierOf(key.publicKey.spki));
  const impostors = Array.from(
    { length: 100 },
    () => certificate("CN=root", otherKey, "CN=root", otherKey, [CA, identified(otherKey)]),
  );
  const real = certificate("CN=root", rootKey, "CN=root", rootKey, [CA, identified(rootKey)]);
  const leaf = certificate("CN=leaf", leafKey, "CN=root", rootKey, [
    authorityKeyIdentifierExtension(keyIdentifierOf(rootKey.publicKey.spki)),
  ]);
  assert.equal(verdict(leaf, [], [...impostors, real]), "CN=leaf < CN=root");
  assert.equal(verdict(leaf, [], impostors), '"CN=root" has another key');

  const anonymous = certificate("CN=leaf", leafKey, "CN=root", rootKey, []);
  assert.equal(verdict(anonymous, [], [...impostors.slice(0, 10), real]), "CN=leaf < CN=root");
});

Deno.test("verifyChain() bounds its work", () => {
  const loop = [
    certificate("CN=a", middleKey, "CN=b", otherKey, [CA]),
    certificate("CN=b", otherKey, "CN=a", middleKey, [CA]),
  ];
  const leaf = certificate("CN=leaf", leafKey, "CN=a", middleKey, []);
  assert.equal(verdict(leaf, loop, [root]), 'no certificate that issued "CN=b" is at hand');

  const many = Array.from({ length: 100 }, () => certificate("CN=a", otherKey, "CN=a", otherKey, [CA]));
  let checks = 0;
  const counting = {
    ecdsaVerifyHashed: () => {
      checks++;
      return false;
    },
  };
  assert.equal(verifyChain(counting, leaf, many, [root], NOW).verdict, "rejected");
  assert.equal(checks, 64);

  const ladder = Array.from({ length: 12 }, (_, i) => certificate(`CN=${i}`, otherKey, `CN=${i + 1}`, otherKey, [CA]));
  const top = certificate("CN=12", otherKey, "CN=12", otherKey, [CA]);
  const bottom = certificate("CN=leaf", leafKey, "CN=0", otherKey, []);
  assert.equal(verdict(bottom, ladder, [top]), "no trusted certificate within 10 steps");
  assert.equal(verdict(bottom, ladder, [ladder[8]!]).split(" < ").length, 10);
  const crowd = new Array<Certificate>(600).fill(top);
  assert.equal(verdict(bottom, crowd, [top]), "more than 512 certificates to choose from");
});

Deno.test("verifyChain() trusts self-signed RSA and P-521 certificates that are given as such", () => {
  for (const der of Object.values(CERTIFICATES)) {
    const certificate = parseCertificate(der);
    assert.equal(verifyChain(noblePrimitives, certificate, [], [certificate], "ignore dates").verdict, "trusted");
  }
});

teamTest("verifyChain() leads every real node to its service, and Intel's and AMD's chips to their roots", () => {
  const certificates = realPemBlocks("CERTIFICATE").map(parseCertificatePem);
  const selfIssued = (certificate: Certificate) => toHex(certificate.subject) === toHex(certificate.issuer);
  const lengths: Record<string, number[]> = {};
  for (const certificate of certificates.filter((certificate) => !selfIssued(certificate))) {
    const answer = verifyChain(
      noblePrimitives,
      certificate,
      certificates,
      certificates.filter(selfIssued),
      "ignore dates",
    );
    const name = nameToText(certificate.subject).replace(/^OU=.*CN=/, "CN=");
    if (name.startsWith("CN=CCF Node") || /Intel Corporation|^CN=SEV-/.test(name)) {
      assert.ok(answer.verdict === "trusted", `${name}: ${JSON.stringify(answer).slice(0, 200)}`);
      (lengths[name.split(",")[0]!] ??= []).push(answer.path.length);
    }
  }
  assert.ok(lengths["CN=CCF Node"]!.length > 40);
  assert.ok(lengths["CN=CCF Node"]!.every((length) => length === 2));
  assert.ok(lengths["CN=Intel SGX PCK Certificate"]!.every((length) => length === 3));
  assert.ok(lengths["CN=SEV-VCEK"]!.every((length) => length === 3));
});
