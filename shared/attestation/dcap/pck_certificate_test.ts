import { strict as assert } from "node:assert";
import { makeDcap, SGX_EXTENSION, sgxExtension } from "../../../tests/dcap_machine.ts";
import { fuzzDecoder, mutated, mutatedText } from "../../../tests/mutations.ts";
import { teamData, teamTest } from "../../../tests/team_data.ts";
import { concat, fromUtf8 } from "../../bytes.ts";
import { readDer, TAG, writeBoolean, writeDer, writeOid, writeSequence, writeUnsigned } from "../../crypto/der.ts";
import { type Certificate, serialiseCertificatePem } from "../../crypto/x509.ts";
import { nameFromText } from "../../crypto/x509_name.ts";
import { MAX_EVIDENCE_CHAIN } from "../../limits.ts";
import { commonName, namesRefusal, parsePckPlatform, parsePemChain, PCK_NAMES } from "./pck_certificate.ts";
import { parseQuote } from "./quote.ts";

const chainBytes = parseQuote(makeDcap().quote).certification.data;
const chain = parsePemChain(chainBytes);
const leaf = chain[0]!;

/** The PCK certificate with another SGX extension; its signature is of no account here. */
const withExtension = (value: Uint8Array): Certificate => ({
  ...leaf,
  extensions: [{ oid: SGX_EXTENSION, critical: false, value }],
});

/** The fields of the extension, DER, in their order. */
function fieldsOf(value: Uint8Array): Uint8Array[] {
  const fields: Uint8Array[] = [];
  const reader = readDer(value, "an SGX extension");
  while (!reader.done) fields.push(reader.der(TAG.sequence, "a field"));
  return fields;
}

const fields = fieldsOf(sgxExtension().value);
const field = (suffix: string, value: Uint8Array) => writeSequence(writeOid(`${SGX_EXTENSION}${suffix}`), value);

Deno.test("parsePckPlatform() reads every field", () => {
  const components = Array.from({ length: 16 }, (_, i) => 240 + i);
  const extension = sgxExtension({ components, pceSvn: 0x1234, fmspc: "00906ed50000" });
  assert.deepEqual(parsePckPlatform(withExtension(extension.value)), {
    ppid: "11".repeat(16),
    components,
    pceSvn: 0x1234,
    cpuSvn: "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff",
    pceId: "0000",
    fmspc: "00906ed50000",
    sgxType: 1,
    platformInstanceId: "66".repeat(16),
    configuration: { dynamicPlatform: true, cachedKeys: false, smtEnabled: true },
  });
});

Deno.test("parsePckPlatform() does without what only boards of several packages have, and without fields to come", () => {
  const extended = concat(...fields.slice(0, 5), field(".99", writeUnsigned(1)));
  const platform = parsePckPlatform(withExtension(writeDer(TAG.sequence, extended)));
  assert.equal(platform.platformInstanceId, undefined);
  assert.equal(platform.configuration, undefined);
  assert.equal(platform.fmspc, "00a1b2c3d4e5");
  const empty = writeSequence(...fields.slice(0, 5), field(".7", writeSequence(field(".7.2", writeBoolean(true)))));
  assert.deepEqual(parsePckPlatform(withExtension(empty)).configuration, { cachedKeys: true });
});

Deno.test("parsePckPlatform() refuses missing, doubled and misshapen fields", () => {
  const refuses = (value: Uint8Array, message: RegExp) =>
    assert.throws(() => parsePckPlatform(withExtension(value)), { name: "FormatError", message });
  for (const [i, name] of ["PPID", "TCB", "PCE's ID", "FMSPC", "type of SGX"].entries()) {
    refuses(writeSequence(...fields.filter((_, at) => at !== i)), new RegExp(`${name} is missing`));
  }
  refuses(writeSequence(...fields, fields[0]!), /field 1\.2\.840\.113741\.1\.13\.1\.1 is there twice/);
  refuses(
    writeSequence(field(".1", writeDer(TAG.octetString, new Uint8Array(15))), ...fields.slice(1)),
    /has 15 bytes/,
  );
  refuses(writeSequence(...fields.slice(0, 4), field(".5", writeUnsigned(1))), /tag 02 and not 0a/);
  refuses(writeSequence(...fields.slice(0, 4), field(".5", writeDer(0x0a, Uint8Array.of(1, 0)))), /not a small number/);
  const tcb = (svns: readonly number[], pceSvn: number) => {
    const value = sgxExtension({ components: svns, pceSvn }).value;
    return fieldsOf(value)[1]!;
  };
  const sixteen = new Array<number>(16).fill(1);
  const withTcb = (der: Uint8Array) => writeSequence(fields[0]!, der, ...fields.slice(2));
  refuses(withTcb(tcb([...sixteen.slice(1), 256], 1)), /component 16 is 256, more than 255/);
  refuses(withTcb(tcb(sixteen, 0x10000)), /the PCE's SVN is 65536/);
  refuses(withTcb(tcb(sixteen.slice(1), 1)), /component 16 is missing/);
  assert.throws(() => parsePckPlatform({ ...leaf, extensions: [] }), /has no SGX extension/);
});

Deno.test("parsePckPlatform() answers or refuses whatever it is given", () => {
  fuzzDecoder(mutated(sgxExtension().value), (value) => parsePckPlatform(withExtension(value)), (platform) => {
    assert.equal(platform.components.length, 16);
    assert.match(platform.fmspc, /^[0-9a-f]{12}$/);
  });
});

Deno.test("parsePemChain() reads a chain with or without a zero byte behind it, up to a length", () => {
  assert.equal(chain.length, 3);
  const ders = (certificates: readonly Certificate[]) => certificates.map(({ der }) => der);
  assert.deepEqual(ders(parsePemChain(concat(chainBytes, Uint8Array.of(0)))), ders(chain));
  assert.deepEqual(ders(parsePemChain(fromUtf8(chainBytes).replaceAll("\n", "\r\n"))), ders(chain));
  const pem = serialiseCertificatePem(leaf.der);
  assert.equal(parsePemChain(pem.repeat(MAX_EVIDENCE_CHAIN)).length, MAX_EVIDENCE_CHAIN);
  assert.throws(() => parsePemChain(pem.repeat(MAX_EVIDENCE_CHAIN + 1)), /more than/);
  assert.throws(() => parsePemChain(Uint8Array.of(0xff)), { name: "FormatError" });
  fuzzDecoder(mutatedText(pem), parsePemChain);
});

Deno.test("namesRefusal() wants each part played under its own name", () => {
  assert.equal(namesRefusal(chain, PCK_NAMES), undefined);
  assert.match(namesRefusal(chain.slice(1), PCK_NAMES)!.detail, /has 2 certificates and must have 3/);
  const [pck, ca, root] = chain as [Certificate, Certificate, Certificate];
  const named = (certificate: Certificate, name: string): Certificate => ({
    ...certificate,
    subject: nameFromText(name),
  });
  assert.equal(namesRefusal([pck, named(ca, "CN=Intel SGX PCK Processor CA"), root], PCK_NAMES), undefined);
  for (const name of ["CN=Intel SGX PCK CA", "O=Intel SGX PCK Processor CA", "CN=intel sgx pck processor ca"]) {
    assert.equal(namesRefusal([pck, named(ca, name), root], PCK_NAMES)?.code, "chain_invalid", name);
  }
  const twice = "CN=Intel SGX PCK Processor CA,CN=Intel SGX PCK Processor CA";
  assert.equal(commonName(named(ca, twice)), undefined);
  const notText = { ...ca, subject: ca.subject.with(ca.subject.indexOf(0x49), 0xff) };
  assert.equal(commonName(notText), undefined);
  assert.match(namesRefusal([pck, ca, named(root, "CN=Intel SGX Root")], PCK_NAMES)!.detail, /"Intel SGX Root", not/);
});

teamTest("parsePckPlatform() reads real certificates of both CAs", () => {
  const platformOf = (path: string) => {
    const quote = parseQuote(Deno.readFileSync(teamData(`attestation/vectors/${path}/quote.bin`)));
    return parsePckPlatform(parsePemChain(quote.certification.data)[0]!);
  };
  const processor = platformOf("sgx/sgx-v3-confneeded");
  assert.equal(processor.fmspc, "00a067110000");
  assert.equal(processor.sgxType, 0);
  assert.equal(processor.platformInstanceId, undefined);
  const multi = platformOf("tdx/tdx-v5-uptodate");
  assert.equal(multi.fmspc, "90c06f000000");
  assert.equal(multi.platformInstanceId?.length, 32);
  assert.deepEqual(Object.keys(multi.configuration!), ["dynamicPlatform", "cachedKeys", "smtEnabled"]);
  // The component SVNs and the CPUSVN are the same numbers.
  for (const { components, cpuSvn } of [processor, multi]) {
    assert.equal(components.map((svn) => svn.toString(16).padStart(2, "0")).join(""), cpuSvn);
  }
});
