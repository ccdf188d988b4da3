import { strict as assert } from "node:assert";
import { noblePrimitives } from "../shared/crypto/primitives.ts";
import { concat, fromUtf8, toBase64, toUtf8 } from "../shared/bytes.ts";
import { serialiseCertificatePem } from "../shared/crypto/x509.ts";
import { checkOwnEvidence } from "../enclave/platform/own_evidence.ts";
import { FakeMachine } from "../enclave/platform/fake_machine.ts";
import { NO_PERMISSION } from "../enclave/platform/devices.ts";
import { makeDcap } from "../tests/dcap_machine.ts";
import { SNP_PINS, snpChain, snpReport } from "../tests/snp_pki.ts";
import { minimal, parse } from "./config_fixtures.ts";
import type { NodeConfig } from "./node_config.ts";
import { openPlatform, type PlatformOptions, virtualPlatform } from "./node_platform.ts";
import { StartFailure } from "./start_failure.ts";
import { withTempDirectory } from "./test_file_system.ts";

const NOW_MS = Date.UTC(2026, 5, 1);
const POLICY = "package policy\n";
const KEY_HASH = new Uint8Array(32).fill(7);

function config(attestation: object, directory = "/nowhere"): NodeConfig {
  return parse({ ...minimal, attestation, ledger: { directory: `${directory}/ledger` } });
}

/** As THIM and Azure's containers have it. */
const hostCertificates = (): string => {
  const [vcekCert, ...rest] = snpChain().map(serialiseCertificatePem);
  return toBase64(toUtf8(JSON.stringify({
    cacheControl: "",
    vcekCert,
    certificateChain: rest.join(""),
    tcbm: "DB18000000000104",
  })));
};

function snpMachine(): FakeMachine {
  const made = new FakeMachine();
  made.provider = "sev_guest";
  made.makeReport = (reportData) => snpReport({ reportData, hostData: noblePrimitives.sha256(toUtf8(POLICY)) });
  return made;
}

function open(
  attestation: object,
  machine: FakeMachine,
  files: Record<string, string> = {},
  change: Partial<PlatformOptions> = {},
) {
  return openPlatform({
    config: config(attestation),
    perform: (operation) => Promise.resolve(machine.perform(operation)),
    readTextFile: (path) => path in files ? Promise.resolve(files[path]!) : Promise.reject(new Deno.errors.NotFound()),
    environment: (name) => name === "UVM_SECURITY_CONTEXT_DIR" ? "/context" : undefined,
    name: "quorate-1",
    now: () => NOW_MS,
    pins: SNP_PINS,
    ...change,
  });
}

const refusal = (...args: Parameters<typeof open>) =>
  open(...args).then(() => "no refusal", (error) => {
    assert.ok(error instanceof StartFailure, `${error}`);
    return error.message;
  });

Deno.test("a node without hardware is virtual, and says so at level fail with the reason", async () => {
  const { told, notices } = await open({}, new FakeMachine());
  assert.equal(told.kind, "virtual");
  assert.deepEqual(notices.map(({ level }) => level), ["fail"]);
  assert.match(
    notices[0]!.message,
    /^Virtual platform \(no attested hardware was found\): nothing protects this node .* its evidence proves nothing$/,
  );
  const blind = new FakeMachine();
  blind.faults.set("look", [NO_PERMISSION]);
  assert.match((await open({}, blind)).notices[0]!.message, /not looked for: Deno lets nobody touch devices without/);
});

Deno.test("a virtual node says which settings have no effect, and has the host data of a test where it is to", () => {
  const { told, notices } = virtualPlatform(
    config({
      snp_security_policy_file: "x",
      snp_endorsements_servers: [{ url: "x" }],
      test_only_host_data: "ab".repeat(32),
    }),
    "as sandboxes are",
  );
  assert.deepEqual(told, { kind: "virtual", hostData: "ab".repeat(32) });
  assert.equal(
    notices[1]!.message,
    "Of /attestation, snp_security_policy_file, snp_endorsements_servers: without effect on this platform",
  );
});

Deno.test("a virtual node has no evidence of hardware", async () => {
  const { quote } = virtualPlatform(config({}), "as sandboxes are");
  await assert.rejects(quote(KEY_HASH, () => {}, new AbortController().signal), { name: "PlatformFailure" });
});

Deno.test("a node on SEV-SNP shows a report over its key, with what its configuration names", () =>
  withTempDirectory(async (directory) => {
    const files = {
      "/context/policy": `${toBase64(toUtf8(POLICY))}\n`,
      "/context/uvm": toBase64(Uint8Array.of(0xd2, 0x84)),
      "/context/certificates": hostCertificates(),
    };
    const platform = await open({}, snpMachine(), files, {
      config: config({
        platform: "snp",
        snp_security_policy_file: "$UVM_SECURITY_CONTEXT_DIR/policy",
        snp_uvm_endorsements_file: "$UVM_SECURITY_CONTEXT_DIR/uvm",
        snp_endorsements_file: "${UVM_SECURITY_CONTEXT_DIR}/certificates",
      }, directory),
    });
    assert.deepEqual(platform.told, { kind: "snp", securityPolicy: POLICY });
    assert.deepEqual(platform.notices, [{ level: "info", message: "This machine is protected by AMD SEV-SNP" }]);
    const logged: string[] = [];
    const evidence = await platform.quote(KEY_HASH, (_, message) => logged.push(message), new AbortController().signal);
    assert.deepEqual(logged, ["Certificates for this node's report come from the configured file"]);
    assert.equal(fromUtf8(evidence.endorsements), snpChain().map(serialiseCertificatePem).join(""));
    assert.equal(evidence.endorsedTcb, "DB18000000000104");
    assert.deepEqual(evidence.uvmEndorsements, Uint8Array.of(0xd2, 0x84));
    const { uvmEndorsements: _, ...withoutUvm } = evidence;
    const own = checkOwnEvidence(
      { kind: "snp", securityPolicy: POLICY },
      withoutUvm,
      { keyHash: KEY_HASH, atMs: NOW_MS, anchors: { amd: SNP_PINS } },
      noblePrimitives,
    );
    assert.equal(own.codeDigest, "ea".repeat(48));
  }));

Deno.test("a node on SEV-SNP does not start without the policy or the endorsement that its configuration names", async () => {
  const policy = { snp_security_policy_file: "/policy" };
  assert.equal(
    await refusal(policy, snpMachine()),
    'Cannot start without "/policy", which /attestation/snp_security_policy_file names',
  );
  assert.match(await refusal(policy, snpMachine(), { "/policy": "no base64!" }), /names: it is not base64$/);
  assert.match(await refusal(policy, snpMachine(), { "/policy": "/w==" }), /UTF-8/);
  assert.match(await refusal({ snp_uvm_endorsements_file: "/uvm" }, snpMachine()), /snp_uvm_endorsements_file names$/);
});

Deno.test("a node on SEV-SNP starts without the certificates that its configuration names: there may be others", async () => {
  const { notices } = await open({ snp_endorsements_file: "/certificates" }, snpMachine());
  assert.deepEqual(notices[1], {
    level: "fail",
    message: 'Cannot read "/certificates", named by /attestation/snp_endorsements_file: there is no such file',
  });
});

Deno.test("what a test says of the host data does not hold where hardware says it", async () => {
  assert.match(await refusal({ test_only_host_data: "ab".repeat(32) }, snpMachine()), /has host data of its own; take/);
});

Deno.test("a node on TDX shows a quote over its key, with what Intel says of its platform", () =>
  withTempDirectory(async (directory) => {
    const over = (reportData: Uint8Array) => makeDcap({ body: (bytes) => bytes.set(reportData, 520) });
    const { collateral, pins, at } = over(new Uint8Array(64));
    const machine = Object.assign(new FakeMachine(), {
      provider: "tdx_guest",
      makeReport: (reportData: Uint8Array) => concat(over(reportData).quote, new Uint8Array(70)),
    });
    const platform = await open({}, machine, { "/collateral": JSON.stringify(collateral) }, {
      config: config({ dcap_collateral_file: "/collateral", snp_endorsements_file: "/x" }, directory),
      now: () => at,
      intelPins: pins,
    });
    assert.deepEqual(platform.told, { kind: "tdx" });
    assert.deepEqual(platform.notices.map(({ message }) => message), [
      "This machine is protected by Intel TDX",
      'Cannot read "/x", named by /attestation/snp_endorsements_file: there is no such file',
      "Of /attestation, snp_endorsements_file: without effect on this platform",
    ]);
    const evidence = await platform.quote(KEY_HASH, () => {}, new AbortController().signal);
    const own = checkOwnEvidence(
      { kind: "tdx" },
      evidence,
      { keyHash: KEY_HASH, atMs: at, anchors: { amd: {}, intel: pins } },
      noblePrimitives,
    );
    assert.equal(own.codeDigest.length, 480);
  }));

Deno.test("a platform that is configured and not there is a failure of the start", async () => {
  assert.match(await refusal({ platform: "snp" }, new FakeMachine()), /^Cannot use the platform "snp", which/);
  const tdx = Object.assign(new FakeMachine(), { provider: "tdx_guest" });
  assert.match(await refusal({ platform: "snp" }, tdx), /this machine is "tdx"/);
  assert.equal((await open({ platform: "virtual" }, tdx)).told.kind, "virtual");
});
