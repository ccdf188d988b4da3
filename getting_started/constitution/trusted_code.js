/**
 * Actions on which code and machines the members trust. A node can only join if its hardware proves that it runs what
 * stands in these tables, so they decide who can ever read what the ledger keeps secret. They are asked when a node
 * joins: removing an entry keeps others out and leaves nodes that take part where they are (`remove_node` takes them out).
 *
 * Adding to them changes what other open proposals would lead to, so these are dropped. Removing leaves them open.
 */

const sgxMeasurements = () => jsonTable("public:ccf.gov.nodes.code_ids");
const snpMeasurements = () => jsonTable("public:ccf.gov.nodes.snp.measurements");
const snpHostData = () => jsonTable("public:ccf.gov.nodes.snp.host_data");
const snpUvmEndorsements = () => jsonTable("public:ccf.gov.nodes.snp.uvm_endorsements");
const snpTcbVersions = () => jsonTable("public:ccf.gov.nodes.snp.tcb_versions");

const ALLOWED = "AllowedToJoin";

/**
 * Names a build of the node's code for Intel SGX in the table by which nodes of before CCF 6.0 joined. Nobody joins by it
 * any more: see `add_sgx_measurement`.
 */
actions.set("add_node_code", {
  check(args) {
    checkType("string", args.code_id, "code_id");
  },
  perform({ code_id }, proposalId) {
    sgxMeasurements().set(code_id, ALLOWED);
    dropOtherProposals(proposalId);
  },
});

/** Takes it out of that table. */
actions.set("remove_node_code", {
  check(args) {
    checkType("string", args.code_id, "code_id");
  },
  perform({ code_id }) {
    sgxMeasurements().delete(code_id);
  },
});

/** Trusts the software below the node on AMD SEV-SNP, named by its measurement. */
actions.set("add_snp_measurement", {
  check(args) {
    checkType("string", args.measurement, "measurement");
  },
  perform({ measurement }, proposalId) {
    snpMeasurements().set(measurement, ALLOWED);
    dropOtherProposals(proposalId);
  },
});

/** Keeps nodes with this measurement out from now on. */
actions.set("remove_snp_measurement", {
  check(args) {
    checkType("string", args.measurement, "measurement");
  },
  perform({ measurement }) {
    snpMeasurements().delete(measurement);
  },
});

/**
 * Trusts whatever software below the node this signer vouches for, under this name (`feed`), from this version (`svn`)
 * on. Thereby the signer, e.g. a cloud provider, can publish newer versions without a vote.
 */
actions.set("add_snp_uvm_endorsement", {
  check(args) {
    checkType("string", args.did, "did");
    checkType("string", args.feed, "feed");
    checkType("string", args.svn, "svn");
  },
  perform({ did, feed, svn }, proposalId) {
    snpUvmEndorsements().set(did, { ...snpUvmEndorsements().get(did), [feed]: { svn } });
    dropOtherProposals(proposalId);
  },
});

/** Stops trusting what this signer vouches for under this name. */
actions.set("remove_snp_uvm_endorsement", {
  check(args) {
    checkType("string", args.did, "did");
    checkType("string", args.feed, "feed");
  },
  perform({ did, feed }) {
    const { [feed]: _removed, ...others } = snpUvmEndorsements().get(did) ?? {};
    if (Object.keys(others).length === 0) snpUvmEndorsements().delete(did);
    else snpUvmEndorsements().set(did, others);
  },
});

/**
 * Trusts a configuration in which nodes are started (containers, commands, variables), named by its digest. The policy
 * that has this digest can be given along, so that everybody can read what is trusted; with an empty one they cannot.
 */
actions.set("add_snp_host_data", {
  check({ security_policy, host_data }) {
    checkType("string", security_policy, "security_policy");
    checkType("string", host_data, "host_data");
    if (security_policy === "") return;
    const digest = sha256Hex(security_policy);
    must(host_data.toLowerCase() === digest, `host_data must be the SHA-256 digest of security_policy, ${digest}`);
  },
  perform({ security_policy, host_data }, proposalId) {
    snpHostData().set(host_data, security_policy);
    dropOtherProposals(proposalId);
  },
});

/** Keeps nodes that are started in this configuration out from now on. */
actions.set("remove_snp_host_data", {
  check(args) {
    checkType("string", args.host_data, "host_data");
  },
  perform({ host_data }) {
    snpHostData().delete(host_data);
  },
});

/** Demands that processors of a model run firmware of these versions at least, e.g. since older ones have known holes. */
actions.set("set_snp_minimum_tcb_version", {
  check({ cpuid, tcb_version }) {
    checkLowerHex(8, cpuid, "cpuid");
    checkType("object", tcb_version, "tcb_version");
    for (const part of ["boot_loader", "tee", "snp", "microcode"]) {
      checkType("number", tcb_version?.[part], `tcb_version.${part}`);
    }
  },
  perform({ cpuid, tcb_version }, proposalId) {
    snpTcbVersions().set(cpuid, tcb_version);
    dropOtherProposals(proposalId);
  },
});

/** The same, with the versions as the processor itself writes them. */
actions.set("set_snp_minimum_tcb_version_hex", {
  check({ cpuid, tcb_version }) {
    checkLowerHex(8, cpuid, "cpuid");
    checkLowerHex(16, tcb_version, "tcb_version");
  },
  perform({ cpuid, tcb_version }, proposalId) {
    snpTcbVersions().set(cpuid, ccf.tcbHexToPolicy(cpuid, tcb_version));
    dropOtherProposals(proposalId);
  },
});

/** Demands nothing any more of the firmware of this model: nodes on such processors can then not join at all. */
actions.set("remove_snp_minimum_tcb_version", {
  check({ cpuid }) {
    checkLowerHex(8, cpuid, "cpuid");
  },
  perform({ cpuid }) {
    must(snpTcbVersions().has(cpuid), `No version is demanded of processors with the CPUID ${cpuid}`);
    snpTcbVersions().delete(cpuid);
  },
});

// Intel's platforms, which CCF does not let in: these actions are Quorate's own ----------------------------------------

const sgxEnclaves = () => jsonTable("public:ccf.gov.nodes.sgx.measurements");
const tdxMeasurements = () => jsonTable("public:ccf.gov.nodes.tdx.measurements");
const tdxHostData = () => jsonTable("public:ccf.gov.nodes.tdx.host_data");
const dcapTcbStatuses = () => jsonTable("public:ccf.gov.nodes.dcap.tcb_statuses");

/** Trusts a build of the node's code on Intel SGX, named by its measurement, MRENCLAVE. */
actions.set("add_sgx_measurement", {
  check({ measurement }) {
    checkLowerHex(64, measurement, "measurement");
  },
  perform({ measurement }, proposalId) {
    sgxEnclaves().set(measurement, ALLOWED);
    dropOtherProposals(proposalId);
  },
});

/** Keeps nodes with this measurement out from now on. */
actions.set("remove_sgx_measurement", {
  check({ measurement }) {
    checkLowerHex(64, measurement, "measurement");
  },
  perform({ measurement }) {
    sgxEnclaves().delete(measurement);
  },
});

/**
 * Trusts all that a node on Intel TDX was started with, named by the digests MRTD, RTMR0, RTMR1, RTMR2 and RTMR3, one after
 * the other. MRTD alone is the firmware, under which whoever has the machine starts what they like.
 */
actions.set("add_tdx_measurement", {
  check({ measurement }) {
    checkLowerHex(480, measurement, "measurement");
  },
  perform({ measurement }, proposalId) {
    tdxMeasurements().set(measurement, ALLOWED);
    dropOtherProposals(proposalId);
  },
});

/** Keeps nodes with this measurement out from now on. */
actions.set("remove_tdx_measurement", {
  check({ measurement }) {
    checkLowerHex(480, measurement, "measurement");
  },
  perform({ measurement }) {
    tdxMeasurements().delete(measurement);
  },
});

/**
 * Trusts a configuration with which nodes are started on Intel TDX, named by MRCONFIGID; all zeros where a domain is
 * started without one. The policy that has this digest (SHA-256, then zeros) can be given along, as on AMD SEV-SNP.
 */
actions.set("add_tdx_host_data", {
  check({ security_policy, host_data }) {
    checkType("string", security_policy, "security_policy");
    checkLowerHex(96, host_data, "host_data");
    if (security_policy === "") return;
    const digest = sha256Hex(security_policy) + "0".repeat(32);
    must(
      host_data === digest,
      `host_data must be the SHA-256 digest of security_policy with zeros after it, ${digest}`,
    );
  },
  perform({ security_policy, host_data }, proposalId) {
    tdxHostData().set(host_data, security_policy);
    dropOtherProposals(proposalId);
  },
});

/** Keeps nodes that are started in this configuration out from now on. */
actions.set("remove_tdx_host_data", {
  check({ host_data }) {
    checkLowerHex(96, host_data, "host_data");
  },
  perform({ host_data }) {
    tdxHostData().delete(host_data);
  },
});

/** What Intel may say of a platform; one whose key was revoked is never accepted. */
const TCB_STATUSES = [
  "UpToDate",
  "SWHardeningNeeded",
  "ConfigurationNeeded",
  "ConfigurationAndSWHardeningNeeded",
  "OutOfDate",
  "OutOfDateConfigurationNeeded",
  "TDRelaunchAdvised",
  "TDRelaunchAdvisedConfigurationNeeded",
];

/** Accepts platforms of SGX and TDX of which Intel says this. Without any status nobody joins on them. */
actions.set("add_dcap_tcb_status", {
  check({ status }) {
    checkOneOf(TCB_STATUSES, status, "status");
  },
  perform({ status }, proposalId) {
    dcapTcbStatuses().set(status, ALLOWED);
    dropOtherProposals(proposalId);
  },
});

/** Keeps nodes on platforms of which Intel says this out from now on. */
actions.set("remove_dcap_tcb_status", {
  check({ status }) {
    checkOneOf(TCB_STATUSES, status, "status");
  },
  perform({ status }) {
    dcapTcbStatuses().delete(status);
  },
});

function checkLowerHex(digits, value, name) {
  checkType("string", value, name);
  must(value.length === digits && /^[0-9a-f]*$/.test(value), `${name} must be ${digits} lowercase hexadecimal digits`);
}

function sha256Hex(text) {
  const digest = new Uint8Array(ccf.crypto.digest("SHA-256", ccf.strToBuf(text)));
  return [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
