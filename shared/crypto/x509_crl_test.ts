import { strict as assert } from "node:assert";
import fc from "fast-check";
import { fuzzDecoder, mutated } from "../../tests/mutations.ts";
import { CERTIFICATES, EC_PRIVATE_KEYS } from "../../tests/openssl_fixtures.ts";
import { teamData, teamTest } from "../../tests/team_data.ts";
import { concat, fromHex, toHex, toUtf8 } from "../bytes.ts";
import { contextTag, TAG, writeBitString, writeDer, writeSequence, writeUnsigned } from "./der.ts";
import { ecdsaSign, type EcPrivateKey, generateEcPrivateKey, serialiseDerSignature } from "./ecdsa.ts";
import { parseEcPrivateKeyFile } from "./key_file.ts";
import { noblePrimitives } from "./primitives.ts";
import { ecdsaAlgorithm } from "./public_key.ts";
import { type Certificate, parseCertificate, parseCertificatePem } from "./x509.ts";
import { signCertificate } from "./x509_build.ts";
import { checkRevocationList, parseRevocationList } from "./x509_crl.ts";
import {
  authorityKeyIdentifierExtension,
  basicConstraintsExtension,
  type Extension,
  keyIdentifierOf,
  keyUsageExtension,
  subjectKeyIdentifierExtension,
  writeExtensions,
} from "./x509_extensions.ts";
import { nameFromText } from "./x509_name.ts";

const NOW = Date.UTC(2026, 6, 1);
const rootKey = parseEcPrivateKeyFile(EC_PRIVATE_KEYS["P-384"]);
const otherKey = generateEcPrivateKey("P-256", (length) => new Uint8Array(length).fill(9));
const CA = basicConstraintsExtension({ ca: true, pathLength: undefined });

function certificate(subject: string, issuer: string, serial: number, extensions: readonly Extension[]): Certificate {
  const fields = {
    serial: Uint8Array.of(serial),
    signatureAlgorithm: ecdsaAlgorithm("SHA-384"),
    issuer: nameFromText(issuer),
    notBeforeMs: Date.UTC(2026, 0, 1),
    notAfterMs: Date.UTC(2027, 0, 1),
    subject: nameFromText(subject),
    spki: rootKey.publicKey.spki,
    extensions,
  };
  return parseCertificate(signCertificate(fields, rootKey));
}

const root = certificate("CN=root", "CN=root", 1, [CA]);
const good = certificate("CN=good", "CN=root", 2, []);
const bad = certificate("CN=bad", "CN=root", 3, []);
const foreign = certificate("CN=foreign", "CN=elsewhere", 3, []);

const time = (text: string) => writeDer(TAG.utcTime, toUtf8(text));

interface ListFields {
  version?: Uint8Array;
  issuer?: string;
  thisUpdate?: Uint8Array;
  nextUpdate?: Uint8Array;
  entries?: Uint8Array;
  extensions?: readonly Extension[];
  key?: EcPrivateKey;
  outerAlgorithm?: Uint8Array;
}

const entry = (serial: number, extensions?: readonly Extension[]) =>
  writeSequence(
    writeUnsigned(serial),
    time("260301000000Z"),
    extensions === undefined ? new Uint8Array() : writeExtensions(extensions),
  );

/** Valid in June and July 2026; revokes number 3. */
function list(fields: ListFields = {}): Uint8Array {
  const key = fields.key ?? rootKey;
  const algorithm = ecdsaAlgorithm(key.curve === "P-384" ? "SHA-384" : "SHA-256");
  const extensions = fields.extensions ?? [];
  const tbs = writeSequence(
    fields.version ?? writeUnsigned(1),
    algorithm,
    nameFromText(fields.issuer ?? "CN=root"),
    fields.thisUpdate ?? time("260601000000Z"),
    fields.nextUpdate ?? time("260801000000Z"),
    fields.entries ?? writeSequence(entry(3)),
    extensions.length === 0 ? new Uint8Array() : writeDer(contextTag(0, "constructed"), writeExtensions(extensions)),
  );
  return writeSequence(
    tbs,
    fields.outerAlgorithm ?? algorithm,
    writeBitString(serialiseDerSignature(ecdsaSign(key, tbs))),
  );
}

function answer(
  fields: ListFields,
  certificates: readonly Certificate[] = [good],
  { at = NOW, issuer = root }: { at?: number; issuer?: Certificate } = {},
): string {
  const refusal = checkRevocationList(noblePrimitives, parseRevocationList(list(fields)), issuer, at, certificates);
  return refusal === undefined ? "holds" : `${refusal.code}: ${refusal.detail}`;
}

Deno.test("checkRevocationList() finds the serial numbers of its own issuer, and no others", () => {
  assert.equal(answer({}), "holds");
  assert.equal(answer({}, [good, foreign]), "holds", "number 3 of another issuer");
  assert.equal(
    answer({}, [good, bad]),
    'cert_revoked: "CN=bad", serial number 03, is revoked since 2026-03-01T00:00:00Z',
  );
  assert.equal(answer({ version: new Uint8Array() }, [bad]).slice(0, 12), "cert_revoked", "a list of version 1");
  const reason: Extension = { oid: "2.5.29.21", critical: false, value: fromHex("0a0106") };
  assert.match(answer({ entries: writeSequence(entry(3, [reason])) }, [bad]), /^cert_revoked/, "on hold is revoked");
  assert.equal(answer({ entries: new Uint8Array() }, [bad]), "holds", "no list at all");
  assert.equal(answer({ entries: writeSequence() }, [bad]), "holds", "an empty one");
});

Deno.test("checkRevocationList() takes a list of its time only", () => {
  const [first, last] = [Date.UTC(2026, 5, 1), Date.UTC(2026, 7, 1) + 999];
  assert.equal(answer({}, [good], { at: first }), "holds");
  assert.equal(answer({}, [good], { at: last }), "holds");
  assert.match(
    answer({}, [good], { at: first - 1 }),
    /^crl_expired: the revocation list counts from 2026-06-01T00:00:0/,
  );
  assert.match(answer({}, [bad], { at: last + 1 }), /^crl_expired/);
  assert.equal(
    answer({ nextUpdate: new Uint8Array() }),
    "crl_invalid: the revocation list does not say until when it counts",
  );
});

Deno.test("checkRevocationList() takes a whole list of the issuer only", () => {
  const critical = (oid: string): Extension => ({ oid, critical: true, value: writeUnsigned(1) });
  const identified = certificate("CN=root", "CN=root", 1, [
    CA,
    subjectKeyIdentifierExtension(keyIdentifierOf(root.spki)),
  ]);
  const mayNot = certificate("CN=root", "CN=root", 1, [CA, keyUsageExtension("keyCertSign")]);
  const may = certificate("CN=root", "CN=root", 1, [CA, keyUsageExtension("cRLSign")]);
  const table: [ListFields, Certificate, string][] = [
    [{ issuer: "CN=other" }, root, 'the revocation list is not one of "CN=root"'],
    [{ key: otherKey }, root, 'the revocation list is not signed by "CN=root"'],
    [
      { extensions: [critical("1.2.3")] },
      root,
      "the revocation list has a critical extension that is not understood, 1.2.3",
    ],
    [
      { extensions: [{ ...critical("2.5.29.27"), critical: false }] },
      root,
      "the revocation list cannot be used: it only adds to another list",
    ],
    [
      { extensions: [critical("2.5.29.28")] },
      root,
      "the revocation list cannot be used: it covers a part of the certificates, or those of others",
    ],
    [{}, mayNot, "the revocation list is signed with a key that may not sign lists"],
    [
      { extensions: [authorityKeyIdentifierExtension(Uint8Array.of(1))] },
      identified,
      'the revocation list names another key than that of "CN=root"',
    ],
    [
      { extensions: [{ ...authorityKeyIdentifierExtension(Uint8Array.of(1)), value: Uint8Array.of(5) }] },
      identified,
      "the revocation list cannot be used: Cannot read an authority key identifier: the outermost SEQUENCE has tag 05 and not 30",
    ],
  ];
  for (const [fields, issuer, expected] of table) {
    assert.equal(answer(fields, [good], { issuer }), `crl_invalid: ${expected}`);
  }
  assert.equal(answer({}, [good], { issuer: may }), "holds");
  const own = authorityKeyIdentifierExtension(keyIdentifierOf(root.spki));
  assert.equal(answer({ extensions: [critical("2.5.29.20"), own] }, [good], { issuer: identified }), "holds");
});

Deno.test("parseRevocationList() refuses what is not one", () => {
  const extension: Extension = { oid: "2.5.29.21", critical: false, value: fromHex("0a0101") };
  const table: [Uint8Array, RegExp][] = [
    [new Uint8Array(), /the outermost SEQUENCE is missing/],
    [concat(list(), Uint8Array.of(0)), /1 bytes are left over/],
    [list({ version: writeUnsigned(2) }), /its version is not known/],
    [list({ version: writeUnsigned(0) }), /its version is not known/],
    [list({ outerAlgorithm: ecdsaAlgorithm("SHA-256") }), /it names two signature algorithms/],
    [list({ version: new Uint8Array(), extensions: [extension] }), /it has extensions, but its version is 1/],
    [
      list({ version: new Uint8Array(), entries: writeSequence(entry(3, [extension])) }),
      /an entry has extensions, but its version is 1/,
    ],
    [
      list({ entries: writeSequence(entry(3, [{ ...extension, oid: "2.5.29.29", critical: true }])) }),
      /an entry has a critical extension, 2.5.29.29/,
    ],
    [list({ thisUpdate: time("260230000000Z") }), /the time of this list is no time/],
    [CERTIFICATES.many, /Cannot read a revocation list: /],
    [new Uint8Array(5 << 20), /it is longer than 4194304 bytes/],
  ];
  for (const [der, problem] of table) assert.throws(() => parseRevocationList(der), problem, String(problem));
});

Deno.test("parseRevocationList() bounds the entries, and the extensions of each", () => {
  const many = (count: number) => writeSequence(concat(...new Array<Uint8Array>(count).fill(entry(3))));
  assert.equal(parseRevocationList(list({ entries: many(50_000) })).revoked.size, 1);
  assert.throws(() => parseRevocationList(list({ entries: many(50_001) })), /it has more than 50000 entries/);
  const extensions = Array.from(
    { length: 101 },
    (_, i) => ({ oid: `1.2.${i}`, critical: false, value: Uint8Array.of(5, 0) }),
  );
  assert.throws(() => parseRevocationList(list({ extensions })), /it has more than 100 extensions/);
});

Deno.test("parseRevocationList() on changed lists answers or throws FormatError", () => {
  fuzzDecoder(
    mutated(list(), list({ extensions: [authorityKeyIdentifierExtension(Uint8Array.of(1, 2))] })),
    parseRevocationList,
  );
});

Deno.test("no single flipped bit of a list is accepted", () => {
  const der = list();
  fc.assert(
    fc.property(fc.nat({ max: der.length * 8 - 1 }), (bit) => {
      const flipped = der.slice();
      flipped[bit >> 3]! ^= 1 << (bit & 7);
      let accepted = false;
      try {
        accepted = checkRevocationList(noblePrimitives, parseRevocationList(flipped), root, NOW, [good]) === undefined;
      } catch {
        // Not even a list.
      }
      assert.equal(accepted, false, `bit ${bit}`);
    }),
    { numRuns: 150 },
  );
});

teamTest("checkRevocationList() on AMD's own list", () => {
  const file = (name: string) => Deno.readFileSync(teamData(`attestation/vectors/${name}`));
  const pem = (name: string) =>
    parseCertificatePem(Deno.readTextFileSync(teamData(`attestation/vectors/roots/${name}.pem`)));
  const [ark, ask] = [pem("ark-genoa"), pem("ask-genoa")];
  const list = parseRevocationList(file("snp/amd-crl-genoa.der"));
  const at = Date.UTC(2023, 0, 1);
  assert.deepEqual([...list.revoked], [["\x02\x00\x01", Date.UTC(2022, 9, 31, 13, 34, 46)]]);
  assert.equal(list.nextUpdateMs, Date.UTC(2023, 9, 31, 23));
  assert.equal(checkRevocationList(noblePrimitives, list, ark, at, [ask, ark]), undefined);
  const early = { ...ask, serial: fromHex("020001") };
  assert.equal(checkRevocationList(noblePrimitives, list, ark, at, [early])?.code, "cert_revoked");
  assert.equal(checkRevocationList(noblePrimitives, list, pem("ark-milan"), at, [ask])?.code, "crl_invalid");
  assert.equal(toHex(list.der), toHex(file("snp/amd-crl-genoa.der")));
});

teamTest("checkRevocationList() on Intel's own lists", () => {
  const collateral = JSON.parse(
    Deno.readTextFileSync(teamData("attestation/vectors/sgx/sgx-v3-confneeded/collateral.json")),
  );
  const root = parseCertificatePem(
    Deno.readTextFileSync(teamData("attestation/vectors/roots/intel-sgx-root-ca.pem")),
  );
  const list = parseRevocationList(fromHex(collateral.root_ca_crl));
  assert.equal(list.revoked.size, 0);
  assert.equal(checkRevocationList(noblePrimitives, list, root, list.thisUpdateMs, [root]), undefined);
});
