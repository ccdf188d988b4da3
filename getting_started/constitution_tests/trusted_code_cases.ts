/**
 * Cases of the actions on which code and machines are trusted.
 */

import { createHash } from "node:crypto";
import { TCB_STATUSES } from "../../shared/attestation/dcap/tcb_info.ts";
import { RELAUNCH_STATUSES } from "../../shared/attestation/dcap/tcb_status.ts";
import { type ActionCases, badTexts, dropped, json } from "./cases.ts";

const MEASUREMENT = "ab".repeat(48);
const POLICY = "package policy";
const POLICY_DIGEST = createHash("sha256").update(POLICY).digest("hex");
const DID = "did:x509:0:sha256:AAAA::eku:1.2.3";
const CPUID = "00a00f11";
const TCB_VERSION = { boot_loader: 4, tee: 0, snp: 21, microcode: 211 };
const ENDORSEMENT = { did: DID, feed: "Feed-A", svn: "101" };
const UVM = "nodes.snp.uvm_endorsements", HOST_DATA = "nodes.snp.host_data", TCB = "nodes.snp.tcb_versions";

const BAD_CPUIDS = [undefined, null, 7, "", "00A00F11", "00a00f1", "00a00f111", "00a00g11", " 0a00f11"];

/** An action that allows what its only argument names, and the one that takes that back. */
const pair = (table: string, argument: string, key: string, row: string): readonly [ActionCases, ActionCases] => [
  {
    refuses: [undefined, ...badTexts({ [argument]: key })],
    effects: [{
      title: "allows what it names",
      args: { [argument]: key, whatever: [1] },
      writes: { [table]: { [key]: row }, ...dropped },
    }],
  },
  {
    refuses: [undefined, ...badTexts({ [argument]: key })],
    effects: [{
      title: "takes it back, also where it was not allowed",
      args: { [argument]: key },
      writes: { [table]: { [key]: null } },
    }],
  },
];

const ALLOWED = json("AllowedToJoin");
const [addNodeCode, removeNodeCode] = pair("nodes.code_ids", "code_id", "c0de", ALLOWED);
const [addMeasurement, removeMeasurement] = pair("nodes.snp.measurements", "measurement", MEASUREMENT, ALLOWED);

export const TRUSTED_CODE_CASES: Readonly<Record<string, ActionCases>> = {
  add_node_code: addNodeCode,
  remove_node_code: removeNodeCode,
  add_snp_measurement: addMeasurement,
  remove_snp_measurement: removeMeasurement,
  add_snp_uvm_endorsement: {
    refuses: [undefined, ...badTexts(ENDORSEMENT)],
    effects: [
      {
        title: "begins a row",
        args: ENDORSEMENT,
        writes: { [UVM]: { [DID]: { "Feed-A": { svn: "101" } } }, ...dropped },
      },
      {
        title: "adds to a row",
        args: { ...ENDORSEMENT, feed: "Feed-B" },
        before: { [UVM]: { [DID]: { "Feed-A": { svn: "7" } } } },
        writes: { [UVM]: { [DID]: { "Feed-A": { svn: "7" }, "Feed-B": { svn: "101" } } }, ...dropped },
      },
      {
        title: "replaces a version",
        args: ENDORSEMENT,
        before: { [UVM]: { [DID]: { "Feed-A": { svn: "7", more: 1 }, "Feed-B": {} } } },
        writes: { [UVM]: { [DID]: { "Feed-A": { svn: "101" }, "Feed-B": {} } }, ...dropped },
      },
    ],
  },
  remove_snp_uvm_endorsement: {
    refuses: [undefined, ...badTexts({ did: DID, feed: "Feed-A" })],
    effects: [
      {
        title: "takes a feed out of a row",
        args: { did: DID, feed: "Feed-A" },
        before: { [UVM]: { [DID]: { "Feed-A": { svn: "7" }, "Feed-B": {} } } },
        writes: { [UVM]: { [DID]: { "Feed-B": {} } } },
      },
      ...[{ [DID]: { "Feed-A": {} } }, {}].map((rows) => ({
        title: "removes a row without feeds, also where there is none",
        args: { did: DID, feed: "Feed-A" },
        before: { [UVM]: rows },
        writes: { [UVM]: { [DID]: null } },
      })),
    ],
  },
  add_snp_host_data: {
    accepts: [{ security_policy: POLICY, host_data: POLICY_DIGEST.toUpperCase() }],
    refuses: [
      undefined,
      ...badTexts({ security_policy: POLICY, host_data: POLICY_DIGEST }),
      { security_policy: POLICY, host_data: "ab".repeat(32) },
      { security_policy: POLICY, host_data: "" },
      { security_policy: POLICY, host_data: "text" },
    ],
    effects: [
      {
        title: "allows a policy by its digest",
        args: { security_policy: POLICY, host_data: POLICY_DIGEST },
        writes: { [HOST_DATA]: { [POLICY_DIGEST]: json(POLICY) }, ...dropped },
      },
      {
        title: "allows any text for a digest where it names no policy",
        args: { security_policy: "", host_data: "text" },
        writes: { [HOST_DATA]: { text: json("") }, ...dropped },
      },
    ],
  },
  remove_snp_host_data: pair(HOST_DATA, "host_data", POLICY_DIGEST, "")[1],
  set_snp_minimum_tcb_version: {
    refuses: [
      undefined,
      ...BAD_CPUIDS.map((cpuid) => ({ cpuid, tcb_version: TCB_VERSION })),
      ...[undefined, null, "x", {}].map((tcb_version) => ({ cpuid: CPUID, tcb_version })),
      ...Object.keys(TCB_VERSION).map((part) => ({ cpuid: CPUID, tcb_version: { ...TCB_VERSION, [part]: "1" } })),
    ],
    effects: [{
      title: "stores the version as it is given",
      args: { cpuid: CPUID, tcb_version: { ...TCB_VERSION, more: 1 } },
      writes: { [TCB]: { [CPUID]: { ...TCB_VERSION, more: 1 } }, ...dropped },
    }],
  },
  set_snp_minimum_tcb_version_hex: {
    refuses: [
      undefined,
      ...BAD_CPUIDS.map((cpuid) => ({ cpuid, tcb_version: "d315000000000004" })),
      ...[undefined, null, 7, "", "D315000000000004", "d31500000000004", "d3150000000000045", "d31500000000000g"].map(
        (tcb_version) => ({ cpuid: CPUID, tcb_version }),
      ),
    ],
    effects: [{
      title: "stores the parts of the version",
      args: { cpuid: CPUID, tcb_version: "d315000000000004" },
      writes: {
        [TCB]: {
          [CPUID]: { hexstring: "d315000000000004", microcode: 211, snp: 21, tee: 0, boot_loader: 4 },
        },
        ...dropped,
      },
    }],
  },
  remove_snp_minimum_tcb_version: {
    refuses: [undefined, ...BAD_CPUIDS.map((cpuid) => ({ cpuid }))],
    effects: [
      {
        title: "removes the row",
        args: { cpuid: CPUID },
        before: { [TCB]: { [CPUID]: {} } },
        writes: { [TCB]: { [CPUID]: null } },
      },
      { title: "fails where there is none", args: { cpuid: CPUID }, fails: true },
    ],
  },
};

const SGX = "nodes.sgx.measurements", TDX = "nodes.tdx.measurements", TDX_HOST_DATA = "nodes.tdx.host_data";
const STATUSES = "nodes.dcap.tcb_statuses";
const TDX_POLICY_DIGEST = `${POLICY_DIGEST}${"0".repeat(32)}`;

/** The same as of other tables; and of a digest everything but so many lower-case hex digits is refused. */
function digestPair(table: string, digits: number): readonly [ActionCases, ActionCases] {
  const digest = "a7".repeat(digits / 2);
  const wrong = [
    "",
    digest.toUpperCase(),
    digest.slice(2),
    `${digest}a7`,
    `${digest.slice(1)}g`,
    ` ${digest.slice(1)}`,
  ];
  const [add, remove] = pair(table, "measurement", digest, ALLOWED);
  const more = wrong.map((measurement) => ({ measurement }));
  return [
    { ...add, refuses: [...add.refuses, ...more] },
    { ...remove, refuses: [...remove.refuses, ...more] },
  ];
}

const [addSgx, removeSgx] = digestPair(SGX, 64);
const [addTdx, removeTdx] = digestPair(TDX, 480);
const [addStatus, removeStatus] = pair(STATUSES, "status", "SWHardeningNeeded", ALLOWED);
const NO_STATUSES = ["", "Revoked", "uptodate", "toString"].map((status) => ({ status }));
const NOT_MRCONFIGID = ["", "text", POLICY_DIGEST, TDX_POLICY_DIGEST.toUpperCase(), `${TDX_POLICY_DIGEST}00`];

/** Ours: CCF lets no such platforms in. */
export const INTEL_CASES: Readonly<Record<string, ActionCases>> = {
  add_sgx_measurement: addSgx,
  remove_sgx_measurement: removeSgx,
  add_tdx_measurement: addTdx,
  remove_tdx_measurement: removeTdx,
  add_tdx_host_data: {
    refuses: [
      undefined,
      ...badTexts({ security_policy: POLICY, host_data: TDX_POLICY_DIGEST }),
      ...NOT_MRCONFIGID.map((host_data) => ({ security_policy: "", host_data })),
      { security_policy: POLICY, host_data: "ab".repeat(48) },
      { security_policy: POLICY, host_data: `${POLICY_DIGEST}${"0".repeat(31)}1` },
    ],
    effects: [
      {
        title: "allows a policy by its digest",
        args: { security_policy: POLICY, host_data: TDX_POLICY_DIGEST },
        writes: { [TDX_HOST_DATA]: { [TDX_POLICY_DIGEST]: json(POLICY) }, ...dropped },
      },
      {
        title: "allows domains without a configuration",
        args: { security_policy: "", host_data: "00".repeat(48) },
        writes: { [TDX_HOST_DATA]: { ["00".repeat(48)]: json("") }, ...dropped },
      },
    ],
  },
  remove_tdx_host_data: {
    refuses: [
      undefined,
      ...badTexts({ host_data: TDX_POLICY_DIGEST }),
      ...NOT_MRCONFIGID.map((host_data) => ({ host_data })),
    ],
    effects: [{
      title: "takes it back, also where it was not allowed",
      args: { host_data: TDX_POLICY_DIGEST },
      writes: { [TDX_HOST_DATA]: { [TDX_POLICY_DIGEST]: null } },
    }],
  },
  add_dcap_tcb_status: {
    ...addStatus,
    accepts: [...TCB_STATUSES, ...RELAUNCH_STATUSES].filter((status) => status !== "Revoked").map((status) => ({
      status,
    })),
    refuses: [...addStatus.refuses, ...NO_STATUSES],
  },
  remove_dcap_tcb_status: { ...removeStatus, refuses: [...removeStatus.refuses, ...NO_STATUSES] },
};

const [addVirtual, removeVirtual] = pair("nodes.virtual.measurements", "measurement", "any text", ALLOWED);
const [addVirtualHost, removeVirtualHost] = pair("nodes.virtual.host_data", "host_data", POLICY_DIGEST, "\0".repeat(8));

/** Not among CCF's default actions (governance.md §4.2). */
export const VIRTUAL_CASES: Readonly<Record<string, ActionCases>> = {
  add_virtual_measurement: addVirtual,
  remove_virtual_measurement: removeVirtual,
  add_virtual_host_data: addVirtualHost,
  remove_virtual_host_data: removeVirtualHost,
};
