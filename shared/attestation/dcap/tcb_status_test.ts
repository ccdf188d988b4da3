import { strict as assert } from "node:assert";
import fc from "fast-check";
import { type DcapDifferences, type Json, makeDcap } from "../../../tests/dcap_machine.ts";
import { parseCollateral } from "./collateral.ts";
import { Reading } from "./reading.ts";
import { TCB_STATUSES } from "./tcb_info.ts";
import type { TcbFindings } from "./reading.ts";

/** What is found of a machine, without a look at signatures and dates. */
function findings(differences: DcapDifferences): TcbFindings {
  const { quote, collateral } = makeDcap({ ...differences, unsigned: true });
  return new Reading({ quote, collateral: parseCollateral(collateral) }).tcb()!;
}

const resultOf = (differences: DcapDifferences) => findings(differences).result!;
const SVNS = (value: number) => new Array<number>(16).fill(value);
const teeTcbSvn = (minor: number, major: number, loader = 7) => (body: Uint8Array) => {
  body.set([minor, major, loader], 0);
};
const status = (tcbStatus: string) => (info: Json) => void (info.tcbLevels[0].tcbStatus = tcbStatus);

Deno.test("a platform is on the first level of which none of its SVNs is lower", () => {
  for (const kind of ["sgx", "td10", "td15"] as const) {
    const version = kind === "td15" ? 5 : 4;
    const dateOf = (differences: DcapDifferences) => {
      const { levels } = findings({ kind, version, ...differences });
      return "code" in levels ? levels.code : levels.level.date.slice(0, 4);
    };
    assert.equal(dateOf({}), "2026");
    assert.equal(dateOf({ components: SVNS(255), pceSvn: 65535 }), "2026");
    for (let i = 0; i < 16; i++) {
      assert.equal(dateOf({ components: SVNS(255).with(i, 6) }), "2025", `component ${i}`);
      assert.equal(dateOf({ components: SVNS(255).with(i, 4) }), "2024", `component ${i}`);
      assert.equal(dateOf({ components: SVNS(255).with(i, 2) }), "tcb_not_supported", `component ${i}`);
    }
    assert.equal(dateOf({ pceSvn: 10 }), "tcb_not_supported");
  }
});

Deno.test("SVNs are those of the PCK certificate, whatever CPUSVN the quote has", () => {
  const body = (bytes: Uint8Array) => void bytes.fill(0, 0, 16);
  assert.equal(resultOf({ kind: "sgx", version: 3, body }).status, "UpToDate");
});

Deno.test("TEE_TCB_SVN counts from its third component where the module has a version, else from its first", () => {
  const dateOf = (body: (bytes: Uint8Array) => void) => {
    const { levels } = findings({ body });
    return "code" in levels ? levels.code : levels.level.date.slice(0, 4);
  };
  assert.equal(dateOf(teeTcbSvn(0, 1)), "2026");
  assert.equal(dateOf(teeTcbSvn(7, 0)), "tcb_not_supported"); // the second component is 0
  for (let i = 2; i < 16; i++) assert.equal(dateOf((bytes) => void (bytes[i] = 6)), "2025", `component ${i}`);
  const zeroMajor = (info: Json) => info.tcbLevels.forEach((level: Json) => level.tcb.tdxtcbcomponents[1].svn = 0);
  const { levels } = findings({ body: teeTcbSvn(6, 0), tcbInfo: zeroMajor });
  assert.ok(!("code" in levels) && levels.level.date.startsWith("2025"));
});

Deno.test("the quoting enclave must be the one described, and has the first level that it reaches", () => {
  const qeOf = (qeReport: (bytes: Uint8Array) => void, qeIdentity?: (identity: Json) => void) => {
    const { qe } = findings({ qeReport, ...(qeIdentity === undefined ? {} : { qeIdentity }) });
    return "code" in qe ? qe.code : `${qe.isvSvn} ${qe.status}`;
  };
  const svn = (value: number) => (bytes: Uint8Array) => void (bytes[258] = value);
  assert.deepEqual([9, 6, 5, 4, 3, 2].map((value) => qeOf(svn(value))), [
    "6 UpToDate",
    "6 UpToDate",
    "4 OutOfDate",
    "4 OutOfDate",
    "2 Revoked",
    "2 Revoked",
  ]);
  assert.equal(qeOf(svn(1)), "tcb_not_supported");
  assert.equal(qeOf((bytes) => void (bytes[128]! ^= 1)), "qe_identity_mismatch", "MRSIGNER");
  assert.equal(qeOf((bytes) => void (bytes[256] = 1)), "qe_identity_mismatch", "ISVPRODID");
  for (let bit = 0; bit < 32; bit++) {
    const misc = (bytes: Uint8Array) => void (bytes[16 + (bit >> 3)] = 1 << (bit & 7));
    assert.equal(qeOf(misc), "qe_identity_mismatch", `bit ${bit} of MISCSELECT`);
  }
  for (let bit = 0; bit < 128; bit++) {
    const attribute = (bytes: Uint8Array) => void (bytes[48 + (bit >> 3)]! ^= 1 << (bit & 7));
    // The mask leaves out MODE64BIT and all of XFRM.
    assert.equal(qeOf(attribute), bit === 2 || bit >= 64 ? "6 UpToDate" : "qe_identity_mismatch", `bit ${bit}`);
  }
  const swapped = (identity: Json) => Object.assign(identity, { miscselect: "01000000", miscselectMask: "01000000" });
  assert.equal(qeOf((bytes) => void (bytes[16] = 1), swapped), "6 UpToDate", "MISCSELECT is in the order of memory");
});

Deno.test("a TDX module must be one that is known, of any version", () => {
  const moduleOf = (body: (bytes: Uint8Array) => void, tcbInfo: (info: Json) => void = () => {}) => {
    const module = findings({ body, tcbInfo }).module!;
    return "code" in module ? module.code : `${module.level?.isvSvn} ${module.status}`;
  };
  assert.deepEqual([8, 7, 6, 5, 4, 3].map((minor) => moduleOf(teeTcbSvn(minor, 1))), [
    "7 UpToDate",
    "7 UpToDate",
    "5 OutOfDate",
    "5 OutOfDate",
    "3 Revoked",
    "3 Revoked",
  ]);
  assert.equal(moduleOf(teeTcbSvn(2, 1)), "tcb_not_supported");
  assert.equal(moduleOf(teeTcbSvn(7, 2)), "tdx_module_mismatch");
  assert.equal(moduleOf(teeTcbSvn(0, 0)), "undefined UpToDate");
  const renamed = (id: string) => (info: Json) => void (info.tdxModuleIdentities[0].id = id);
  assert.equal(moduleOf(teeTcbSvn(7, 0xab), renamed("TDX_AB")), "7 UpToDate");
  assert.equal(moduleOf(teeTcbSvn(7, 0xab), renamed("tdx_ab")), "7 UpToDate");
  assert.equal(moduleOf(teeTcbSvn(7, 1), (info) => delete info.tdxModuleIdentities), "tdx_module_mismatch");
  for (const major of [0, 1]) {
    const with_ = (change: (bytes: Uint8Array) => void) => (bytes: Uint8Array) => {
      teeTcbSvn(7, major)(bytes);
      change(bytes);
    };
    assert.equal(moduleOf(with_((bytes) => void (bytes[64 + 47] = 1))), "tdx_module_mismatch", "MRSIGNERSEAM");
    for (let bit = 0; bit < 64; bit++) {
      const attribute = with_((bytes) => void (bytes[112 + (bit >> 3)] = 1 << (bit & 7)));
      assert.equal(moduleOf(attribute), "tdx_module_mismatch", `bit ${bit} of SEAMATTRIBUTES`);
    }
  }
  // As in Intel's library, a mask allows nothing here, since every bit must be zero.
  const unmasked = (info: Json) => void (info.tdxModuleIdentities[0].attributesMask = "00".repeat(8));
  assert.equal(moduleOf((bytes) => void (bytes[112] = 1), unmasked), "tdx_module_mismatch");
});

Deno.test("an old module or quoting enclave makes the platform old, a revoked one revokes it", () => {
  const old: Readonly<Record<string, string>> = {
    UpToDate: "OutOfDate",
    SWHardeningNeeded: "OutOfDate",
    ConfigurationNeeded: "OutOfDateConfigurationNeeded",
    ConfigurationAndSWHardeningNeeded: "OutOfDateConfigurationNeeded",
    OutOfDate: "OutOfDate",
    OutOfDateConfigurationNeeded: "OutOfDateConfigurationNeeded",
    Revoked: "Revoked",
  };
  const qe = (tcbStatus: string) => (identity: Json) => void (identity.tcbLevels[0].tcbStatus = tcbStatus);
  for (const platform of TCB_STATUSES) {
    const tcbInfo = status(platform);
    const joined = (differences: DcapDifferences) => resultOf({ tcbInfo, ...differences }).status;
    assert.equal(joined({}), platform);
    assert.equal(joined({ body: teeTcbSvn(5, 1) }), old[platform], `${platform}, module`);
    assert.equal(joined({ body: teeTcbSvn(3, 1) }), "Revoked", `${platform}, module`);
    for (const status of ["OutOfDate", "ConfigurationNeeded", "OutOfDateConfigurationNeeded"]) {
      assert.equal(joined({ qeIdentity: qe(status) }), old[platform], `${platform}, quoting enclave ${status}`);
    }
    assert.equal(joined({ qeIdentity: qe("Revoked") }), "Revoked", `${platform}, quoting enclave`);
    assert.equal(joined({ body: teeTcbSvn(5, 1), qeIdentity: qe("Revoked") }), "Revoked");
  }
});

Deno.test("advisories are those of platform, module and quoting enclave, each once, in order", () => {
  const components = SVNS(5);
  const { advisoryIds, platform } = resultOf({
    components,
    body: teeTcbSvn(5, 1),
    qeReport: (bytes) => void (bytes[258] = 4),
    tcbInfo: (info) => info.tdxModuleIdentities[0].tcbLevels[1].advisoryIDs.push("INTEL-SA-00001"),
  });
  assert.deepEqual(advisoryIds, ["INTEL-SA-00001", "INTEL-SA-00002", "INTEL-SA-00003", "INTEL-SA-00004"]);
  assert.deepEqual(platform.advisoryIds, ["INTEL-SA-00003", "INTEL-SA-00001"]);
});

Deno.test("a relaunch is advised where the module was old, and the platform has the newest one now", () => {
  const relaunch = (second: readonly number[], differences: DcapDifferences = {}) =>
    resultOf({
      version: 5,
      kind: "td15",
      ...differences,
      body: (bytes) => {
        teeTcbSvn(5, 1)(bytes);
        bytes.set(second, 584);
        differences.body?.(bytes);
      },
    });
  assert.equal(relaunch([7, 1, 7]).status, "OutOfDate");
  assert.equal(relaunch([7, 1, 7]).relaunchStatus, "TDRelaunchAdvised");
  assert.equal(relaunch([8, 1, 9]).relaunchStatus, "TDRelaunchAdvised");
  assert.equal(relaunch([6, 1, 7]).relaunchStatus, undefined, "the module now is not of the newest level either");
  assert.equal(relaunch([7, 1, 6]).relaunchStatus, undefined, "the loader now is below the first level's");
  assert.equal(relaunch([7, 2, 7]).relaunchStatus, undefined, "the module now is not known");
  assert.equal(relaunch([7, 0, 7]).relaunchStatus, "TDRelaunchAdvised", "version 0 counts by the first level");
  assert.equal(relaunch([6, 0, 7]).relaunchStatus, undefined);

  for (const needed of ["ConfigurationNeeded", "ConfigurationAndSWHardeningNeeded"]) {
    const result = relaunch([7, 1, 7], { tcbInfo: status(needed) });
    assert.equal(result.status, "OutOfDateConfigurationNeeded");
    assert.equal(result.relaunchStatus, "TDRelaunchAdvisedConfigurationNeeded");
  }
  assert.equal(relaunch([7, 1, 7], { tcbInfo: status("SWHardeningNeeded") }).relaunchStatus, "TDRelaunchAdvised");
  for (const bad of ["OutOfDate", "OutOfDateConfigurationNeeded", "Revoked"]) {
    assert.equal(relaunch([7, 1, 7], { tcbInfo: status(bad) }).relaunchStatus, undefined, bad);
  }
  const oldQe = relaunch([7, 1, 7], { qeReport: (bytes) => void (bytes[258] = 4) });
  assert.equal(oldQe.relaunchStatus, undefined, "the quoting enclave is old");
  const current = relaunch([7, 1, 7], { body: teeTcbSvn(7, 1) });
  assert.deepEqual([current.status, current.relaunchStatus], ["UpToDate", undefined], "nothing is old");
  assert.equal(resultOf({ body: teeTcbSvn(5, 1) }).relaunchStatus, undefined, "reports 1.0 do not say it");
});

Deno.test("a relaunch is advised also where the platform's level is lower only by SVNs of TDX", () => {
  // As one of SGX the platform is current; the domain began under an old loader and module.
  const result = resultOf({
    version: 5,
    kind: "td15",
    body: (bytes) => {
      bytes.set([5, 1, 5], 0);
      bytes.set([7, 1, 7], 584);
    },
  });
  assert.deepEqual([result.status, result.relaunchStatus], ["OutOfDate", "TDRelaunchAdvised"]);
});

Deno.test("raising an SVN never makes a platform worse, where levels are ordered", () => {
  const rank = (components: readonly number[], pceSvn: number) => {
    const { levels } = findings({ kind: "sgx", version: 3, components, pceSvn });
    return "code" in levels ? 3 : ["UpToDate", "OutOfDate", "Revoked"].indexOf(levels.level.status);
  };
  const svns = fc.array(fc.integer({ min: 1, max: 8 }), { minLength: 16, maxLength: 16 });
  fc.assert(
    fc.property(svns, fc.integer({ min: 10, max: 12 }), fc.nat({ max: 15 }), (components, pceSvn, i) => {
      const raised = components.with(i, components[i]! + 1);
      assert.ok(rank(raised, pceSvn) <= rank(components, pceSvn));
    }),
    { numRuns: 100 },
  );
});
