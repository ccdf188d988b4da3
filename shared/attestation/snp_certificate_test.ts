import assert from "node:assert/strict";
import { fuzzDecoder, mutated } from "../../tests/mutations.ts";
import {
  SNP_ISSUER_KEY,
  SNP_LEAF_KEY,
  SNP_TCB,
  snpCertificate,
  snpChain,
  snpChipId,
  snpLeafExtensions,
} from "../../tests/snp_pki.ts";
import { snpEvidence, snpVectors } from "../../tests/snp_vectors.ts";
import { teamTest } from "../../tests/team_data.ts";
import { concat, toHex, toUtf8 } from "../bytes.ts";
import { TAG, writeDer, writeOctetString, writeUnsigned } from "../crypto/der.ts";
import { parseCertificate } from "../crypto/x509.ts";
import type { Extension } from "../crypto/x509_extensions.ts";
import { commonNameOf, parseSnpCertificate } from "./snp_certificate.ts";

teamTest("parseSnpCertificate() reads every recorded key's certificate", () => {
  let count = 0;
  for (const vector of snpVectors()) {
    const { product, certProduct, keyKind, tcb, hwid, cspId } = vector.expect;
    if (product === undefined) continue;
    const signer = parseSnpCertificate(parseCertificate(snpEvidence(vector).chain[0]!));
    assert.deepEqual([signer.product, signer.kind, signer.tcb], [product, keyKind, tcb], vector.id);
    if (certProduct !== undefined) assert.equal(signer.productName, certProduct, vector.id);
    assert.equal(signer.providerId, cspId, vector.id);
    if (hwid !== undefined) assert.equal(toHex(signer.hardwareId!), hwid, vector.id);
    count++;
  }
  assert.ok(count >= 12, `${count} certificates`);
});

/** A leaf with these extensions. */
function parse(extensions: readonly Extension[], subject = "CN=SEV-VCEK,O=x") {
  const der = snpCertificate(subject, SNP_LEAF_KEY, "CN=SEV-Milan", SNP_ISSUER_KEY, extensions);
  return parseSnpCertificate(parseCertificate(der));
}

const AMD = "1.3.6.1.4.1.3704.1";
const changed = (suffix: string, value: Uint8Array) =>
  snpLeafExtensions().map((extension) => extension.oid === `${AMD}.${suffix}` ? { ...extension, value } : extension);
const without = (suffix: string) => snpLeafExtensions().filter(({ oid }) => oid !== `${AMD}.${suffix}`);

Deno.test("parseSnpCertificate() reads a hardware ID with an OCTET STRING around it too", () => {
  assert.equal(toHex(parse(changed("4", writeOctetString(snpChipId()))).hardwareId!), toHex(snpChipId()));
  const turin = snpLeafExtensions({
    product: "Turin",
    tcb: { fmc: 1, ...SNP_TCB },
    hardwareId: writeOctetString(snpChipId("Turin")),
  });
  assert.equal(toHex(parse(turin).hardwareId!), toHex(snpChipId("Turin")));
});

Deno.test("parseSnpCertificate() wants all that its kind must have, and nothing of the other kind", () => {
  const text = (value: string) => writeDer(TAG.ia5String, toUtf8(value));
  const provider = { oid: `${AMD}.5`, critical: false, value: text("CN=x") };
  const table: [extensions: Extension[], problem: RegExp][] = [
    [without("2"), /it has no product name \(extension 1\.3\.6\.1\.4\.1\.3704\.1\.2\)/],
    [changed("2", text("Rome-A0")), /the product "Rome-A0" is not known/],
    [changed("2", toUtf8("Milan")), /the product name has tag 4d and not 16/],
    [changed("2", text("Milan\0")), /its product name is not of printable characters/],
    [changed("2", text("Turin")), /it has no security version of fmc/],
    [without("3.1"), /it has no security version of boot_loader/],
    [without("3.8"), /it has no security version of microcode/],
    [changed("3.3", writeUnsigned(256)), /the security version of snp, 256, does not fit a byte/],
    [changed("3.3", concat(writeUnsigned(1), Uint8Array.of(0))), /1 bytes are left over/],
    [changed("3.3", Uint8Array.of(2, 1, 0xff)), /the security version of snp is negative/],
    [without("4"), /it has no hardware ID/],
    [changed("4", new Uint8Array(8)), /its hardware ID has 8 bytes and must have 64/],
    [[...snpLeafExtensions(), provider], /it is a VCEK and has the extension 1\.3\.6\.1\.4\.1\.3704\.1\.5/],
  ];
  for (const [extensions, problem] of table) {
    assert.throws(() => parse(extensions), { name: "FormatError", message: problem });
  }
  assert.throws(() => parse(snpLeafExtensions(), "CN=SEV-VLEK"), /it is a VLEK and has the extension .*\.4$/);
  assert.throws(
    () => parse(snpLeafExtensions(), "CN=SEV-Milan"),
    /it is of "SEV-Milan" and not of SEV-VCEK or SEV-VLEK/,
  );
  assert.throws(() => parse(snpLeafExtensions(), "O=x"), /has not one common name/);
  assert.throws(() => parse(snpLeafExtensions(), "CN=SEV-VCEK,CN=SEV-VCEK"), /has not one common name/);
});

Deno.test("parseSnpCertificate() on changed certificates answers or throws FormatError", () => {
  const samples = [
    snpChain()[0]!,
    snpChain({ kind: "VLEK" })[0]!,
    snpChain({ product: "Turin", tcb: { fmc: 1, ...SNP_TCB } })[0]!,
  ];
  fuzzDecoder(mutated(...samples), (der) => {
    const certificate = parseCertificate(der);
    commonNameOf(certificate.issuer);
    return parseSnpCertificate(certificate);
  });
});
