import assert from "node:assert/strict";
import { p384 } from "@noble/curves/nist.js";
import fc from "fast-check";
import { mutated } from "../../tests/mutations.ts";
import { PRIMITIVE_SETS } from "../../tests/primitive_sets.ts";
import {
  signSnpReport,
  SNP_PINS,
  SNP_TCB,
  snpChain,
  type SnpLeafFields,
  snpReport,
  type SnpReportFields,
} from "../../tests/snp_pki.ts";
import { snpEvidence, snpNegatives, snpOptions, snpVector, snpVectors } from "../../tests/snp_vectors.ts";
import { teamTest } from "../../tests/team_data.ts";
import { concat, fromHex } from "../bytes.ts";
import { noblePrimitives } from "../crypto/primitives.ts";
import { type SnpEvidence, type SnpOptions, verifySnp } from "./snp.ts";
import { SnpChain } from "./snp_chain.ts";
import { parseSnpReport } from "./snp_report.ts";

const NOW = Date.UTC(2026, 6, 1);
const TURIN_TCB = { fmc: 1, ...SNP_TCB };

/** Code of the refusal, or "verified". */
function verdict(evidence: SnpEvidence, options: SnpOptions, primitives = noblePrimitives): string {
  const { verdict, code } = verifySnp(evidence, options, primitives);
  return code ?? verdict;
}

/** The same for evidence with our own keys, under both sets of rules: `[general, ccf]`. */
function bothVerdicts(report: SnpReportFields = {}, leaf: SnpLeafFields = {}, policy: SnpOptions["policy"] = {}) {
  const evidence = { report: snpReport(report), chain: snpChain(leaf) };
  return (["general", "ccf"] as const).map((rules) => verdict(evidence, { at: NOW, rules, pins: SNP_PINS, policy }));
}

for (const [set, primitives] of PRIMITIVE_SETS) {
  teamTest(`verifySnp() judges every recorded and synthetic report as expected (${set} primitives)`, () => {
    let count = 0;
    for (const vector of snpVectors()) {
      const { expect, kind, id } = vector;
      if (kind !== "snp") continue;
      const found = verifySnp(snpEvidence(vector), snpOptions(vector), primitives);
      const answer = found.code ?? found.verdict;
      assert.ok(
        expect.verdict === "accept" ? answer === "verified" : expect.reasons!.includes(answer),
        `${id}: ${answer}`,
      );
      if (expect.tcb !== undefined) assert.deepEqual(found.reportedTcb, expect.tcb, id);
      if (expect.product !== undefined) assert.equal(found.signer!.product, expect.product, id);
      assert.equal(found.report!.version, expect.report!.version, id);
      count++;
    }
    assert.ok(count >= 26, `${count} vectors`);
  });
}

teamTest("verifySnp() refuses every negative of a SEV-SNP vector for one of its reasons", () => {
  const all = snpNegatives();
  for (const [{ id, replace, mutations, policy, verifyAt, expect }, base] of all) {
    const vector = {
      ...base,
      files: { ...base.files, ...replace },
      policy: { ...base.policy, ...policy },
      verifyAt: verifyAt ?? base.verifyAt,
    };
    const answer = verdict(snpEvidence(vector, mutations), snpOptions(vector));
    assert.ok(expect.reasons!.includes(answer), `${id}: ${answer} and not ${expect.reasons}`);
  }
  assert.ok(all.length >= 130, `${all.length} negatives`);
});

teamTest("verifySnp() by CCF's rules accepts of the recorded reports those that CCF would", () => {
  const accepted: string[] = [];
  const refused: Record<string, string[]> = {};
  for (const vector of snpVectors()) {
    if (vector.kind !== "snp" || vector.id.startsWith("syn-")) continue;
    const answer = verdict(snpEvidence(vector), { ...snpOptions(vector), rules: "ccf" });
    if (answer === "verified") accepted.push(vector.id);
    else (refused[answer] ??= []).push(vector.id);
  }
  assert.deepEqual(accepted, [
    "snp-milan-v3-aci",
    "snp-genoa-v3-aci",
    "snp-turin-v5-aci",
    "snp-genoa-v3-configfs-tsm",
    "snp-milan-v3-aci-bundle-20250617",
    "snp-milan-v3-aci-bundle-20250925",
  ]);
  assert.deepEqual(refused.cert_kind_mismatch, ["snp-milan-v3-vlek-a"]);
  assert.deepEqual(Object.keys(refused).sort(), ["cert_kind_mismatch", "unsupported_version"]);
  assert.ok(refused.unsupported_version!.every((id) => id.includes("-v2-")));
});

teamTest("high s is normal: recorded reports have it, and verify", () => {
  const half = p384.Point.Fn.ORDER >> 1n;
  const high = snpVectors().filter(({ kind, id }) => kind === "snp" && !id.startsWith("syn-")).map((vector) => {
    const { signature } = parseSnpReport(snpEvidence(vector).report);
    return BigInt(`0x${[...signature.subarray(48)].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`) > half;
  });
  assert.ok(high.includes(true) && high.includes(false), "so the test above has seen both");
});

Deno.test("verifySnp() lists every step, with what each looked at", () => {
  const evidence = { report: snpReport(), chain: snpChain() };
  const { steps, report, signer, reportedTcb } = verifySnp(
    evidence,
    { at: NOW, rules: "general", pins: SNP_PINS },
    noblePrimitives,
  );
  assert.deepEqual(steps.map(({ name, result }) => `${name}: ${result}`), [
    "report: verified",
    "version: verified",
    "algorithm: verified",
    "certificates: verified",
    "chain: verified",
    "revocation: not checked",
    "signature: verified",
    "signing key: verified",
    "product: verified",
    "certificate TCB: verified",
    "chip: verified",
    "privilege level: verified",
    "debug: verified",
    "migration: verified",
    "report data: not checked",
    "measurement: not checked",
    "host data: not checked",
    "wanted privilege level: not checked",
    "minimum TCB: not checked",
    "guest SVN: not checked",
    "ID key: not checked",
    "author key: not checked",
    "endorsed TCB: not checked",
  ]);
  assert.equal(steps[4]!.detail, "SEV-VCEK < SEV-Milan < ARK-Milan");
  assert.deepEqual(reportedTcb, SNP_TCB);
  assert.equal(report!.version, 3);
  assert.equal(signer!.productName, "Milan-B0");
});

Deno.test("verifySnp() says what was read of evidence that it refuses", () => {
  const evidence = { report: snpReport({ version: 9 }), chain: snpChain() };
  const found = verifySnp(evidence, { at: NOW, rules: "general", pins: SNP_PINS }, noblePrimitives);
  assert.equal(found.reason, "version: the report has version 9");
  assert.equal(found.report!.version, 9);
  assert.equal(found.signer, undefined, "the certificates were not reached");
  assert.equal(found.steps.at(-1)!.result, "not checked");
});

Deno.test("CCF's rules differ from AMD's where they are said to", () => {
  const higher = { ...SNP_TCB, microcode: SNP_TCB.microcode + 1 };
  const lower = { ...SNP_TCB, microcode: SNP_TCB.microcode - 1 };
  const mixed = { ...SNP_TCB, microcode: SNP_TCB.microcode + 1, snp: SNP_TCB.snp - 1 };
  const migrated = 0x7001fn;
  const table: [what: string, found: string[], general: string, ccf: string][] = [
    ["a common report", bothVerdicts(), "verified", "verified"],
    ["version 2", bothVerdicts({ version: 2 }), "verified", "unsupported_version"],
    ["version 4", bothVerdicts({ version: 4 }), "verified", "verified"],
    ["a version to come", bothVerdicts({ version: 6 }), "unsupported_version", "verified"],
    ["version 1", bothVerdicts({ version: 1 }), "unsupported_version", "unsupported_version"],
    ["a provider's key", bothVerdicts({ signingKey: 1 }, { kind: "VLEK" }), "verified", "cert_kind_mismatch"],
    ["a key of the other kind", bothVerdicts({ signingKey: 1 }), "cert_kind_mismatch", "cert_kind_mismatch"],
    ["a chip that is not told", bothVerdicts({ chipId: new Uint8Array(64) }), "verified", "chip_id_mismatch"],
    ["another chip", bothVerdicts({ chipId: new Uint8Array(64).fill(1) }), "chip_id_mismatch", "chip_id_mismatch"],
    ["a TCB version above the certificate's", bothVerdicts({ tcb: higher }), "cert_tcb_mismatch", "verified"],
    ["one below", bothVerdicts({ tcb: lower }), "cert_tcb_mismatch", "cert_tcb_mismatch"],
    ["one partly below", bothVerdicts({ tcb: mixed }), "cert_tcb_mismatch", "cert_tcb_mismatch"],
    [
      "Turin",
      bothVerdicts({ product: "Turin", tcb: TURIN_TCB }, { product: "Turin", tcb: TURIN_TCB }),
      "verified",
      "verified",
    ],
    [
      "Turin with an older FMC",
      bothVerdicts({ product: "Turin", tcb: { ...TURIN_TCB, fmc: 0 } }, { product: "Turin", tcb: TURIN_TCB }),
      "cert_tcb_mismatch",
      "cert_tcb_mismatch",
    ],
    ["another product", bothVerdicts({ product: "Genoa" }), "product_mismatch", "product_mismatch"],
    ["a report of the host", bothVerdicts({ vmpl: 4 }), "vmpl_out_of_range", "vmpl_out_of_range"],
    ["the lowest privilege", bothVerdicts({ vmpl: 3 }), "verified", "verified"],
    ["debugging", bothVerdicts({ policy: 0xb0000n }), "debug_enabled", "debug_enabled"],
    ["debugging, allowed", bothVerdicts({ policy: 0xb0000n }, {}, { allowDebug: true }), "verified", "debug_enabled"],
    ["migration", bothVerdicts({ policy: migrated }), "migration_agent", "migration_agent"],
    [
      "migration, allowed",
      bothVerdicts({ policy: migrated }, {}, { allowMigration: true }),
      "verified",
      "migration_agent",
    ],
  ];
  for (const [what, found, general, ccf] of table) assert.deepEqual(found, [general, ccf], what);
});

Deno.test("CCF's rules know one model of each product, AMD's the whole range", () => {
  const report = snpReport();
  report[0x189] = 0x0f;
  const evidence = { report: signSnpReport(report), chain: snpChain() };
  const options = { at: NOW, pins: SNP_PINS };
  assert.equal(verdict(evidence, { ...options, rules: "general" }), "verified");
  assert.equal(verdict(evidence, { ...options, rules: "ccf" }), "product_mismatch");
});

Deno.test("a masked key is refused by both rules, by CCF's even where the report is signed", () => {
  const report = snpReport();
  report[0x48] = 2;
  const options = { at: NOW, pins: SNP_PINS };
  const masked = { report: report.slice().fill(0, 0x2a0), chain: snpChain() };
  const found = verifySnp(masked, { ...options, rules: "general" }, noblePrimitives);
  assert.equal(found.reason, "signature: the host had the chip's key masked, so that nothing is signed");
  const signed = { report: signSnpReport(report), chain: snpChain() };
  assert.equal(verdict(signed, { ...options, rules: "ccf" }), "key_masked");
});

Deno.test("verifySnp() compares what the relying party wants, each wish for itself", () => {
  const wanted = (policy: SnpOptions["policy"]) => bothVerdicts({ vmpl: 1, guestSvn: 2 }, {}, policy)[0];
  const bytes = (length: number, byte: number) => new Uint8Array(length).fill(byte);
  const table: [SnpOptions["policy"], string][] = [
    [{ reportData: bytes(64, 0xda) }, "verified"],
    [{ reportData: bytes(32, 0xda) }, "report_data_mismatch"],
    [{ measurement: bytes(48, 0xea) }, "verified"],
    [{ measurement: bytes(48, 0xeb) }, "measurement_mismatch"],
    [{ hostData: bytes(32, 0xfa) }, "verified"],
    [{ hostData: bytes(32, 0) }, "host_data_mismatch"],
    [{ vmpl: 1 }, "verified"],
    [{ vmpl: 0 }, "vmpl_mismatch"],
    [{ minTcb: SNP_TCB }, "verified"],
    [{ minTcb: { snp: SNP_TCB.snp - 1 } }, "verified"],
    [{ minTcb: { snp: SNP_TCB.snp + 1 } }, "tcb_too_low"],
    [{ minTcb: { fmc: 0 } }, "tcb_too_low"],
    [{ minGuestSvn: 2 }, "verified"],
    [{ minGuestSvn: 3 }, "guest_svn_too_low"],
    [{ minGuestSvn: 0 }, "verified"],
    [{ idKeyDigest: bytes(48, 0) }, "verified"],
    [{ idKeyDigest: bytes(48, 1) }, "id_key_mismatch"],
    [{ authorKeyDigest: bytes(48, 0) }, "verified"],
    [{ authorKeyDigest: bytes(48, 1) }, "author_key_mismatch"],
    [{ endorsedTcb: fromHex("04010000000018db") }, "verified"],
    [{ endorsedTcb: fromHex("04010000000018da") }, "cert_tcb_mismatch"],
  ];
  for (const [policy, expected] of table) assert.equal(wanted(policy), expected, JSON.stringify(policy));
  const short = bothVerdicts({ reportData: concat(bytes(32, 7), new Uint8Array(32)) }, {}, {
    reportData: bytes(32, 7),
  });
  assert.deepEqual(short, ["verified", "verified"], "zeros follow what is wanted");
});

Deno.test("verifySnp() refuses numbers of the signature that are not those of the format", () => {
  const good = snpReport();
  const options = { at: NOW, rules: "general", pins: SNP_PINS } as const;
  const withSignature = (r: Uint8Array, s: Uint8Array) => {
    const report = good.slice();
    report.set(r, 0x2a0);
    report.set(s, 0x2e8);
    return verdict({ report, chain: snpChain() }, options);
  };
  const [r, s] = [good.slice(0x2a0, 0x2a0 + 48), good.slice(0x2e8, 0x2e8 + 48)];
  const order = fromHex(p384.Point.Fn.ORDER.toString(16)).reverse();
  const zero = new Uint8Array(48);
  assert.equal(withSignature(r, s), "verified");
  const wrong = [
    [r.toReversed(), s.toReversed()], // big-endian
    [s, r],
    [zero, s],
    [r, zero],
    [zero, zero],
    [order, s],
    [r, order],
    [new Uint8Array(48).fill(0xff), s],
  ] as const;
  for (const [r, s] of wrong) assert.equal(withSignature(r, s), "bad_signature");
});

Deno.test("verifySnp() wants the chain of the key's own kind and product", () => {
  const options = { at: NOW, rules: "general", pins: SNP_PINS } as const;
  const [vcek, ask, ark] = snpChain() as [Uint8Array, Uint8Array, Uint8Array];
  const [vlek, asvk] = snpChain({ kind: "VLEK" }) as [Uint8Array, Uint8Array];
  const genoa = snpChain({ product: "Genoa" });
  const table: [Uint8Array[], string][] = [
    [[vcek, ask], "chain_invalid"],
    [[vcek, ask, ark, ark], "chain_invalid"],
    [[], "chain_invalid"],
    [[vcek, asvk, ark], "chain_invalid"],
    [[vlek, ask, ark], "chain_invalid"],
    [[ask, ask, ark], "malformed"],
    [[vcek, ask, genoa[2]!], "chain_invalid"],
    [[new Uint8Array(), ask, ark], "malformed"],
    [[vcek, new Uint8Array(100_000), ark], "malformed"],
    [genoa, "product_mismatch"],
  ];
  for (const [chain, expected] of table) {
    assert.equal(verdict({ report: snpReport(), chain }, options), expected);
  }
  assert.equal(verdict({ report: snpReport(), chain: [vcek, ask, ark] }, { ...options, pins: {} }), "untrusted_root");
  // The root of one product is nothing for another, whatever it is trusted for.
  const moved = { Genoa: SNP_PINS.Milan! };
  assert.equal(
    verdict({ report: snpReport(), chain: [vcek, ask, ark] }, { ...options, pins: moved }),
    "untrusted_root",
  );
});

Deno.test("a chain that was read costs its signatures once, for as long as all is valid", () => {
  let checks = 0;
  const counting = {
    ecdsaVerifyHashed: (...call: Parameters<typeof noblePrimitives.ecdsaVerifyHashed>) => {
      checks++;
      return noblePrimitives.ecdsaVerifyHashed(...call);
    },
  };
  const chain = new SnpChain(snpChain());
  const take = (at: number, pins = SNP_PINS) => {
    checks = 0;
    const { code, verdict } = verifySnp({ report: snpReport(), chain }, { at, rules: "general", pins }, counting);
    return [code ?? verdict, checks];
  };
  const [first, last] = [Date.UTC(2026, 0, 1), Date.UTC(2027, 0, 1) - 1];
  assert.deepEqual(take(first - 1), ["cert_not_valid_at_time", 0]);
  assert.deepEqual(take(NOW), ["verified", 4]);
  assert.deepEqual(take(first), ["verified", 1]);
  assert.deepEqual(take(last), ["verified", 1]);
  assert.deepEqual(take(last + 1), ["cert_not_valid_at_time", 0]);
  assert.deepEqual(take(first - 1), ["cert_not_valid_at_time", 0]);
  assert.deepEqual(take(NOW, {}), ["untrusted_root", 0], "what held for some pins says nothing about others");
  assert.deepEqual(take(NOW), ["verified", 1]);
});

teamTest("a chain that was read with a revocation list holds no longer than the list", () => {
  const vector = snpVector("snp-milan-v2-crl");
  const { report, chain, crl } = snpEvidence(vector);
  const options = snpOptions(vector);
  const kept = { report, chain: new SnpChain(chain, crl) };
  assert.equal(verdict(kept, options), "verified");
  assert.equal(verdict(kept, options), "verified");
  const revocation = verifySnp(kept, options, noblePrimitives).steps.find(({ name }) => name === "revocation")!;
  assert.equal(revocation.result, "verified");
  const [last, end] = [Date.UTC(2023, 4, 9, 23) + 999, Date.UTC(2023, 4, 9, 23) + 1000];
  assert.equal(verdict(kept, { ...options, at: last }), "verified");
  assert.equal(verdict(kept, { ...options, at: end }), "crl_expired");
  assert.equal(verdict({ report, chain, crl: crl!.subarray(1) }, options), "crl_invalid");
});

/** A copy with one bit changed. */
function flipped(bytes: Uint8Array, bit: number): Uint8Array {
  const copy = bytes.slice();
  copy[bit >> 3]! ^= 1 << (bit & 7);
  return copy;
}

Deno.test("no single flipped bit of a report is accepted, under either rules", () => {
  const good = snpReport();
  const chain = new SnpChain(snpChain());
  for (const rules of ["general", "ccf"] as const) {
    const options = { at: NOW, rules, pins: SNP_PINS };
    assert.equal(verdict({ report: good, chain }, options), "verified");
    // A prime stride, so that all bits of a byte and all bytes of a field are met.
    for (let bit = rules === "ccf" ? 1 : 0; bit < good.length * 8; bit += 23) {
      assert.notEqual(verdict({ report: flipped(good, bit), chain }, options), "verified", `bit ${bit}`);
    }
  }
});

Deno.test("no single flipped bit of a chain is accepted", () => {
  const [report, chain] = [snpReport(), snpChain()];
  const options = { at: NOW, rules: "general", pins: SNP_PINS } as const;
  const places = chain.flatMap((der, i) => Array.from({ length: der.length * 8 }, (_, bit) => [i, bit] as const));
  fc.assert(
    fc.property(fc.constantFrom(...places), ([place, bit]) => {
      const changed = chain.with(place, flipped(chain[place]!, bit));
      assert.notEqual(verdict({ report, chain: changed }, options), "verified", `certificate ${place}, bit ${bit}`);
    }),
    { numRuns: 500 },
  );
});

teamTest("no single flipped bit of AMD's own chain, list or report is accepted", () => {
  const vector = snpVector("snp-milan-v2-crl");
  const { report, chain, crl } = snpEvidence(vector);
  const options = snpOptions(vector);
  assert.equal(verdict({ report, chain, crl: crl! }, options), "verified");
  const parts = [report, ...chain, crl!];
  const places = parts.flatMap((part, i) => Array.from({ length: part.length * 8 }, (_, bit) => [i, bit] as const));
  fc.assert(
    fc.property(fc.constantFrom(...places), ([place, bit]) => {
      const [report, ...rest] = parts.with(place, flipped(parts[place]!, bit)) as [Uint8Array, ...Uint8Array[]];
      const evidence = { report, chain: rest.slice(0, 3), crl: rest[3]! };
      assert.notEqual(verdict(evidence, options), "verified", `part ${place}, bit ${bit}`);
    }),
    { numRuns: 300 },
  );
});

Deno.test("verifySnp() throws for nothing that evidence can hold", () => {
  const [report, chain] = [snpReport(), snpChain()];
  const options = { at: NOW, rules: "general", pins: SNP_PINS } as const;
  fc.assert(
    fc.property(
      fc.oneof(
        mutated(report).map((report) => ({ report, chain })),
        mutated(...chain).map((der) => ({ report, chain: [der, ...chain.slice(1)] })),
      ),
      fc.oneof(fc.constant(undefined), fc.uint8Array({ maxLength: 40 })),
      (evidence, crl) => {
        const { verdict } = verifySnp(crl === undefined ? evidence : { ...evidence, crl }, options, noblePrimitives);
        assert.ok(verdict === "refused" || verdict === "verified");
      },
    ),
    { numRuns: 200 },
  );
});
