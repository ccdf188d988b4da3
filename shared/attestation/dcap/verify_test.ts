import { strict as assert } from "node:assert";
import { p256 } from "@noble/curves/nist.js";
import fc from "fast-check";
import { loadNativePrimitives } from "../../../enclave/native_primitives.ts";
import {
  DCAP_SERIALS,
  type DcapDifferences,
  type DcapMade,
  type DcapRole,
  type Json,
  makeDcap,
} from "../../../tests/dcap_machine.ts";
import { dcapCase, dcapVector } from "../../../tests/dcap_vectors.ts";
import { mutated } from "../../../tests/mutations.ts";
import { teamTest } from "../../../tests/team_data.ts";
import { concat, fromHex, toHex, toUtf8 } from "../../bytes.ts";
import { ecPrivateKey } from "../../crypto/ecdsa.ts";
import { noblePrimitives } from "../../crypto/primitives.ts";
import { basicConstraintsExtension } from "../../crypto/x509_extensions.ts";
import { nameFromText } from "../../crypto/x509_name.ts";
import { INTEL_SGX_ROOT } from "../anchors.ts";
import { type CollateralTexts, parseCollateral } from "./collateral.ts";
import { parsePemChain } from "./pck_certificate.ts";
import type { DcapPolicy } from "./policy.ts";
import { parseQuote } from "./quote.ts";
import { TCB_STATUSES } from "./tcb_info.ts";
import { type DcapVerdict, verifyDcap } from "./verify.ts";

const STEPS = [
  "quote header",
  "quote structure",
  "bytes after the quote",
  "certification data",
  "PCK chain",
  "PCK certificate",
  "collateral",
  "root CRL",
  "PCK CRL",
  "QE report signature",
  "QE report data",
  "quote signature",
  "TCB info",
  "QE identity",
  "quoting enclave",
  "TCB level",
  "TDX module",
  "TCB status",
  "evaluation number",
  "debugging",
  "migration",
  "report data",
  "measurements",
  "enclave SVN",
  "SEPT_VE_DISABLE",
];

/** What comes of a made-up machine. */
function verifyMade(
  differences: DcapDifferences = {},
  policy: DcapPolicy = {},
  change: (made: DcapMade) => Partial<DcapMade> = () => ({}),
): DcapVerdict {
  const made = makeDcap(differences);
  const { quote, collateral, pins, at } = { ...made, ...change(made) };
  return verifyDcap({ quote, collateral }, { at, policy, pins }, noblePrimitives);
}

/** The code of a refusal and the step it comes from; "verified" where there is none. */
function outcome(...args: Parameters<typeof verifyMade>): string {
  const { verdict, code, steps } = verifyMade(...args);
  return verdict === "verified" ? verdict : `${steps.find((step) => step.code === code)!.name}: ${code}`;
}

const filled = (length: number, byte: number) => new Uint8Array(length).fill(byte);
const resultsOf = ({ steps }: DcapVerdict) => Object.fromEntries(steps.map(({ name, result }) => [name, result]));

Deno.test("verifyDcap() takes every kind of quote, and tells its steps in one order", () => {
  const kinds = [[3, "sgx"], [4, "sgx"], [5, "sgx"], [4, "td10"], [5, "td10"], [5, "td15"]] as const;
  for (const [version, kind] of kinds) {
    const policy: DcapPolicy = kind === "sgx"
      ? { mrenclave: filled(32, 0xec), minIsvSvn: 3 }
      : { mrtd: filled(48, 0x7d), requireSeptVeDisable: true };
    const wanted = { ...policy, reportData: filled(64, 0xda), minTcbEvaluationDataNumber: 20 };
    const found = verifyMade({ version, kind }, wanted);
    assert.equal(found.verdict, "verified", found.reason);
    assert.deepEqual(found.steps.map(({ name }) => name), STEPS);
    const skipped = found.steps.filter(({ result }) => result === "not checked").map(({ name }) => name);
    assert.deepEqual(
      skipped,
      kind === "sgx" ? ["TDX module", "migration", "SEPT_VE_DISABLE"] : ["migration", "enclave SVN"],
    );
  }
});

Deno.test("verifyDcap() ends at the first step that fails, and says so of the others", () => {
  const found = verifyMade({ body: (bytes) => void (bytes[120] = 1) });
  assert.equal(found.code, "debug_enabled");
  const results = found.steps.map(({ result }) => result);
  assert.equal(results[STEPS.indexOf("debugging")], "failed");
  for (const step of STEPS.slice(STEPS.indexOf("debugging") + 1)) {
    assert.equal(found.steps[STEPS.indexOf(step)]!.detail, "an earlier step failed");
  }
});

Deno.test("verifyDcap() refuses certificates that play another's part", () => {
  const named = (role: DcapRole, name: string): DcapDifferences => ({
    certificate: (of, fields) => of === role ? { ...fields, subject: nameFromText(name) } : fields,
  });
  assert.equal(outcome(named("pck", "CN=Intel SGX TCB Signing")), "PCK chain: chain_invalid");
  assert.equal(outcome(named("tcbSigner", "CN=Intel SGX PCK Certificate")), "TCB info: chain_invalid");
  const made = makeDcap();
  const [signer, root] = made.collateral.tcb_info_issuer_chain.split(/(?<=END CERTIFICATE-----\n)/) as [string, string];
  const chains = (tcb_info_issuer_chain: string) =>
    outcome({}, {}, ({ collateral }) => ({
      collateral: { ...collateral, tcb_info_issuer_chain },
    }));
  assert.equal(chains(signer), "TCB info: chain_invalid");
  assert.equal(chains(""), "TCB info: chain_invalid");
  assert.equal(chains(root + signer), "TCB info: chain_invalid");
  assert.equal(chains(signer + root), "verified");
  // The PCK CA and the platforms under it are Intel's too, but not signers of TCB info.
  assert.equal(chains(made.collateral.pck_crl_issuer_chain!), "TCB info: chain_invalid");
});

Deno.test("verifyDcap() refuses authorities that are none, and keys of another kind", () => {
  const noAuthority: DcapDifferences = {
    certificate: (of, fields) =>
      of === "pckCa"
        ? { ...fields, extensions: [basicConstraintsExtension({ ca: false, pathLength: undefined })] }
        : fields,
  };
  assert.equal(outcome(noAuthority), "PCK chain: chain_invalid");
  const pckKey = ecPrivateKey("P-384", filled(48, 9));
  assert.equal(outcome({ pckKey }), "QE report signature: qe_report_bad_signature");
  const strange: DcapDifferences = {
    certificate: (of, fields) => of === "pck" ? { ...fields, spki: Uint8Array.of(0x30, 0) } : fields,
  };
  assert.equal(outcome(strange), "QE report signature: qe_report_bad_signature");
  const noExtension: DcapDifferences = {
    certificate: (of, fields) => of === "pck" ? { ...fields, extensions: fields.extensions.slice(0, 2) } : fields,
  };
  assert.equal(outcome(noExtension), "PCK certificate: malformed");
});

Deno.test("verifyDcap() believes no root but the pinned ones", () => {
  const other = makeDcap({ certificate: (of, fields) => of === "root" ? { ...fields, serial: filled(1, 9) } : fields });
  assert.equal(other.pins[0], makeDcap().pins[0], "the pin is that of the key, whatever the certificate says");
  assert.equal(outcome({}, {}, () => ({ pins: [] })), "PCK chain: untrusted_root");
  assert.equal(outcome({}, {}, () => ({ pins: [INTEL_SGX_ROOT.spkiSha256] })), "PCK chain: untrusted_root");
  assert.equal(outcome({}, {}, ({ pins }) => ({ pins: [INTEL_SGX_ROOT.spkiSha256, ...pins] })), "verified");
});

Deno.test("verifyDcap() asks the lists of each authority about its own certificates", () => {
  const { root: _, pckCa, pck, tcbSigner } = DCAP_SERIALS;
  assert.equal(outcome({ revokedByRoot: [pckCa] }), "root CRL: cert_revoked");
  assert.equal(outcome({ revokedByRoot: [tcbSigner] }), "root CRL: cert_revoked");
  assert.equal(outcome({ revokedByPckCa: [77, pck] }), "PCK CRL: cert_revoked");
  assert.equal(outcome({ revokedByRoot: [pck], revokedByPckCa: [pckCa, tcbSigner] }), "verified");
});

Deno.test("verifyDcap() cannot decide without collateral or lists, unless the policy does without", () => {
  const { quote, pins, at } = makeDcap();
  const bare = (policy: DcapPolicy) => verifyDcap({ quote }, { at, policy, pins }, noblePrimitives);
  assert.equal(bare({}).code, "missing_collateral");
  assert.equal(resultsOf(bare({})).collateral, "cannot be checked");
  const signaturesOnly = bare({ noCollateral: true });
  assert.equal(signaturesOnly.verdict, "verified");
  assert.equal(signaturesOnly.tcb, undefined);
  const skipped = ["collateral", "root CRL", "PCK CRL", "TCB info", "QE identity", "quoting enclave", "TCB level"];
  for (const step of [...skipped, "TDX module", "TCB status"]) {
    assert.equal(resultsOf(signaturesOnly)[step], "not checked", step);
  }

  const without = (name: "root_ca_crl" | "pck_crl") => ({ collateral }: DcapMade) => ({
    collateral: { ...collateral, [name]: null },
  });
  assert.equal(outcome({}, {}, without("root_ca_crl")), "root CRL: missing_collateral");
  assert.equal(outcome({}, {}, without("pck_crl")), "PCK CRL: missing_collateral");
  const allowed = verifyMade({}, { allowMissingCrl: true }, without("pck_crl"));
  assert.equal(allowed.verdict, "verified");
  assert.deepEqual([resultsOf(allowed)["root CRL"], resultsOf(allowed)["PCK CRL"]], ["verified", "not checked"]);
});

Deno.test("verifyDcap() looks at the chain that came with a list of the PCK CA, if one came", () => {
  const withChain = (change: (pem: string) => string | null) =>
    outcome({}, {}, ({ collateral }) => ({
      collateral: { ...collateral, pck_crl_issuer_chain: change(collateral.pck_crl_issuer_chain!) },
    }));
  assert.equal(withChain(() => null), "verified");
  assert.equal(withChain((pem) => pem.slice(pem.indexOf("-----BEGIN", 1))), "PCK CRL: chain_invalid");
  const otherKey: DcapDifferences = {
    certificate: (of, fields) =>
      of === "pckCa" ? { ...fields, spki: ecPrivateKey("P-256", filled(32, 8)).publicKey.spki } : fields,
  };
  const { collateral: { pck_crl_issuer_chain: other } } = makeDcap(otherKey);
  assert.equal(withChain(() => other), "PCK CRL: crl_invalid");
});

Deno.test("verifyDcap() takes statements from the second they are issued to the one in which the next is due", () => {
  const from = Date.parse("2026-06-10T00:00:00Z");
  const to = Date.parse("2026-06-20T00:00:00Z");
  const dates = (statement: Json) =>
    Object.assign(statement, { issueDate: "2026-06-10T00:00:00Z", nextUpdate: "2026-06-20T00:00:00Z" });
  for (
    const [step, differences] of [["TCB info", { tcbInfo: dates }], ["QE identity", { qeIdentity: dates }]] as const
  ) {
    const at = (moment: number) => outcome(differences, {}, () => ({ at: moment }));
    assert.equal(at(from - 1), `${step}: collateral_not_yet_valid`);
    assert.equal(at(from), "verified");
    assert.equal(at(to + 999), "verified");
    assert.equal(at(to + 1000), `${step}: collateral_expired`);
  }
});

Deno.test("verifyDcap() takes only what is said of this platform and this kind of TEE", () => {
  assert.equal(outcome({ tcbInfo: (info) => void (info.fmspc = "00A1B2C3D4E6") }), "TCB info: collateral_mismatch");
  assert.equal(outcome({ tcbInfo: (info) => void (info.pceId = "0001") }), "TCB info: collateral_mismatch");
  assert.equal(outcome({ tcbInfo: (info) => void (info.tcbType = 1) }), "TCB info: collateral_mismatch");
  for (const id of ["QE", "QVE", "td_qe"]) {
    const qeIdentity = (identity: Json) => void (identity.id = id);
    assert.equal(outcome({ qeIdentity }), "QE identity: collateral_mismatch", id);
  }
  const { collateral } = makeDcap({ kind: "sgx", version: 3 });
  assert.equal(outcome({}, {}, () => ({ collateral })), "TCB info: collateral_mismatch");
});

Deno.test("verifyDcap() looks at signatures over the exact text", () => {
  const spaced = (text: string) => text.replaceAll(",", " ,\n");
  assert.equal(outcome({ statementText: spaced }), "verified");
  assert.equal(
    outcome({}, {}, ({ collateral }) => ({ collateral: { ...collateral, tcb_info: spaced(collateral.tcb_info) } })),
    "TCB info: collateral_bad_signature",
  );
  const doubled = (text: string) => text.replace('"version":', '"version":9,"version":');
  assert.equal(outcome({ statementText: doubled }), "collateral: malformed", "even where it is signed");
});

Deno.test("verifyDcap() takes the other of the two signatures that ECDSA has for everything", () => {
  // Hardware writes s in the upper half as often as in the lower.
  const swapS = ({ quote }: DcapMade) => {
    const at = 632 + 4 + 32;
    const s = BigInt(`0x${toHex(quote.subarray(at, at + 32))}`);
    const swapped = (p256.Point.CURVE().n - s).toString(16).padStart(64, "0");
    return { quote: concat(quote.subarray(0, at), fromHex(swapped), quote.subarray(at + 32)) };
  };
  assert.equal(outcome({}, {}, swapS), "verified");
  const zero = ({ quote }: DcapMade) => ({ quote: concat(quote.subarray(0, 636), filled(64, 0), quote.subarray(700)) });
  assert.equal(outcome({}, {}, zero), "quote signature: bad_signature");
});

Deno.test("verifyDcap() takes the statuses that the policy names, and never a revoked platform", () => {
  const status = (tcbStatus: string): DcapDifferences => ({
    tcbInfo: (info) => void (info.tcbLevels[0].tcbStatus = tcbStatus),
  });
  for (const tcbStatus of TCB_STATUSES) {
    const isDefault = tcbStatus === "UpToDate" || tcbStatus === "SWHardeningNeeded";
    const isRevoked = tcbStatus === "Revoked";
    const refused = `TCB status: ${isRevoked ? "tcb_revoked" : "tcb_status_unacceptable"}`;
    assert.equal(outcome(status(tcbStatus)), isDefault ? "verified" : refused, tcbStatus);
    assert.equal(
      outcome(status(tcbStatus), { acceptTcbStatus: [tcbStatus] }),
      isRevoked ? refused : "verified",
      tcbStatus,
    );
    assert.equal(outcome(status(tcbStatus), { acceptTcbStatus: [] }), refused, tcbStatus);
  }
  const old = { version: 5, kind: "td15", body: (bytes: Uint8Array) => void (bytes[0] = 5) } as const;
  const advised = verifyMade(old);
  assert.deepEqual([advised.code, advised.tcb?.relaunchStatus], ["tcb_status_unacceptable", "TDRelaunchAdvised"]);
  assert.equal(outcome(old, { acceptTcbStatus: ["TDRelaunchAdvised"] }), "verified");
  assert.equal(
    outcome(old, { acceptTcbStatus: ["TDRelaunchAdvisedConfigurationNeeded"] }),
    "TCB status: tcb_status_unacceptable",
  );
});

Deno.test("verifyDcap() wants both statements to be of the generation that the policy names", () => {
  const policy = { minTcbEvaluationDataNumber: 20 };
  const older = (statement: Json) => void (statement.tcbEvaluationDataNumber = 19);
  assert.equal(outcome({}, policy), "verified");
  assert.equal(outcome({ tcbInfo: older }, policy), "evaluation number: collateral_expired");
  assert.equal(outcome({ qeIdentity: older }, policy), "evaluation number: collateral_expired");
});

Deno.test("verifyDcap() refuses a trust domain that can be moved where the policy does", () => {
  const movable = { body: (bytes: Uint8Array) => void (bytes[123] = 0x30) };
  assert.equal(outcome(movable, { refuseMigratable: true }), "migration: migration_agent");
  assert.equal(outcome({}, { refuseMigratable: true }), "verified");
  const sgx = verifyMade({ kind: "sgx" }, { refuseMigratable: true });
  assert.deepEqual([sgx.verdict, resultsOf(sgx)["migration"]], ["verified", "not checked"]);
  const taken = verifyMade(movable);
  assert.deepEqual([taken.verdict, resultsOf(taken)["migration"]], ["verified", "not checked"]);
});

Deno.test("verifyDcap() takes debugging and bytes behind a quote only where the policy does, and says so", () => {
  const debug = { version: 3, kind: "sgx", body: (bytes: Uint8Array) => void (bytes[48] = 7) } as const;
  assert.equal(outcome(debug), "debugging: debug_enabled");
  const allowed = verifyMade(debug, { allowDebug: true });
  assert.deepEqual([allowed.verdict, resultsOf(allowed).debugging], ["verified", "not checked"]);

  const trailing = (byte: number) => ({ quote }: DcapMade) => ({ quote: concat(quote, filled(9, byte)) });
  assert.equal(outcome({}, {}, trailing(0)), "verified");
  assert.equal(outcome({}, {}, trailing(1)), "bytes after the quote: trailing_bytes");
  const taken = verifyMade({}, { allowTrailing: true }, trailing(1));
  assert.deepEqual([taken.verdict, resultsOf(taken)["bytes after the quote"]], ["verified", "not checked"]);
});

Deno.test("verifyDcap() asks what the policy asks", () => {
  assert.equal(outcome({}, { reportData: filled(64, 1) }), "report data: report_data_mismatch");
  assert.equal(outcome({}, { rtmr2: filled(48, 1) }), "measurements: measurement_mismatch");
  assert.equal(outcome({}, { mrenclave: filled(32, 1) }), "measurements: measurement_mismatch");
  assert.equal(outcome({}, { minIsvSvn: 0 }), "enclave SVN: svn_too_low");
  const noSept = { body: (bytes: Uint8Array) => void (bytes[123] = 0) };
  assert.equal(outcome(noSept), "verified");
  assert.equal(outcome(noSept, { requireSeptVeDisable: true }), "SEPT_VE_DISABLE: measurement_mismatch");
});

Deno.test("verifyDcap() says the same with collateral that was parsed before", () => {
  for (const policy of [{}, { acceptTcbStatus: [] }]) {
    const { quote, collateral, pins, at } = makeDcap();
    const parsed = verifyDcap(
      { quote, collateral: parseCollateral(collateral) },
      { at, policy, pins },
      noblePrimitives,
    );
    assert.deepEqual(parsed, verifyMade({}, policy));
  }
});

Deno.test("verifyDcap() refuses what cannot be read, with what can be read of it", () => {
  assert.equal(outcome({}, {}, () => ({ quote: new Uint8Array() })), "quote header: malformed");
  assert.equal(outcome({}, {}, () => ({ quote: filled(500, 0xff) })), "quote header: unsupported_version");
  const broken = verifyMade({}, {}, ({ collateral }) => ({ collateral: { ...collateral, qe_identity: "{}" } }));
  assert.equal(broken.code, "malformed");
  assert.equal(broken.platform?.fmspc, "00a1b2c3d4e5");
  assert.equal(broken.tcb, undefined);
  const late = verifyMade({}, {}, () => ({ at: Date.parse("2026-08-01T00:00:00Z") }));
  assert.deepEqual([late.code, late.tcb?.status], ["crl_expired", "UpToDate"]);
});

/** Everything that evidence means, for comparison: white space in PEM and the case of hex digits mean nothing. */
function meaningOf({ quote, collateral }: { quote: Uint8Array; collateral: CollateralTexts }): unknown {
  const { certification, trailing, ...parts } = parseQuote(quote);
  const chain = parsePemChain(certification.data).map(({ der }) => toHex(der));
  return { parts, type: certification.type, trailing: trailing.length, chain, collateral: parseCollateral(collateral) };
}

/** No bit of evidence may change and the evidence still be taken, but where it means the same afterwards. */
function tryBits(base: DcapMade, policy: DcapPolicy, numRuns: number): void {
  const primitives = loadNativePrimitives();
  const verified = ({ quote, collateral }: DcapMade) =>
    verifyDcap({ quote, collateral }, { at: base.at, policy, pins: base.pins }, primitives).verdict === "verified";
  assert.ok(verified(base));
  const meaning = meaningOf(base);
  const names = Object.entries(base.collateral).filter(([, text]) => text !== null).map(([name]) => name);
  const place = fc.record({
    part: fc.constantFrom("quote", "quote", "quote", ...names),
    at: fc.nat({ max: 0xffffff }),
    bit: fc.nat({ max: 7 }),
  });
  fc.assert(
    fc.property(place, ({ part, at, bit }) => {
      const flip = (bytes: Uint8Array) => bytes.with(at % bytes.length, bytes[at % bytes.length]! ^ (1 << bit));
      const changed = part === "quote"
        ? { ...base, quote: flip(base.quote) }
        : { ...base, collateral: withText(base.collateral, part as keyof CollateralTexts, flip) };
      if (verified(changed)) assert.deepEqual(meaningOf(changed), meaning);
    }),
    { numRuns },
  );
}

Deno.test("verifyDcap() judges whatever it is given, and takes nothing else than was made", () => {
  const base = makeDcap();
  const meaning = meaningOf(base);
  const [{ collateral: other }, primitives] = [makeDcap({ version: 3, kind: "sgx" }), loadNativePrimitives()];
  const texts = fc.record({
    name: fc.constantFrom(...Object.keys(base.collateral) as (keyof CollateralTexts)[]),
    from: fc.constantFrom(...Object.keys(base.collateral) as (keyof CollateralTexts)[]),
  });
  const run = (quote: Uint8Array, collateral: CollateralTexts) => {
    const { at, pins } = base;
    const { verdict } = verifyDcap({ quote, collateral }, { at, policy: {}, pins }, primitives);
    if (verdict === "verified") assert.deepEqual(meaningOf({ quote, collateral }), meaning);
    return verdict;
  };
  assert.equal(run(base.quote, base.collateral), "verified");
  fc.assert(fc.property(mutated(base.quote), (quote) => void run(quote, base.collateral)), { numRuns: 200 });
  // Texts in each other's places, and those of another machine.
  fc.assert(
    fc.property(
      texts,
      fc.boolean(),
      ({ name, from }, isOther) =>
        void run(base.quote, { ...base.collateral, [name]: (isOther ? other : base.collateral)[from] }),
    ),
    { numRuns: 200 },
  );
});

/** Text as somebody would read it whose file has changed. */
function withText(
  texts: CollateralTexts,
  name: keyof CollateralTexts,
  change: (bytes: Uint8Array) => Uint8Array,
): CollateralTexts {
  return { ...texts, [name]: new TextDecoder().decode(change(toUtf8(texts[name]!))) };
}

Deno.test("verifyDcap() takes nothing of which a bit was changed, made-up evidence", () => {
  tryBits(makeDcap({ version: 5, kind: "td15" }), {}, 150);
  tryBits(makeDcap({ version: 3, kind: "sgx" }), {}, 150);
});

teamTest("verifyDcap() takes nothing of which a bit was changed, real evidence", () => {
  for (const id of ["tdx-v5-uptodate", "sgx-v3-confneeded-allowed"]) {
    const { quote, collateral, at, policy, pins } = dcapCase(dcapVector(id));
    tryBits({ quote, collateral: collateral!, at, pins }, policy, 100);
  }
});
