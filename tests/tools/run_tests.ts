/**
 * Runs the tests with the least permissions that they work with, and ends with the line `N passed, N failed`.
 *
 * In: `unit` for the tests beside the code and the tidy ones, but for long ones, or nothing for all. Out: exit code 0 if
 * nothing failed.
 * Tests that were skipped for want of data (tests/team_data.ts) count as neither; each reason is named once.
 */

import { tmpdir } from "node:os";

/** What one run of `deno test` said. */
export interface Outcome {
  readonly passed: number;
  readonly failed: number;
  /** How many tests were skipped, by reason. */
  readonly skipped: ReadonlyMap<string, number>;
}

/** Folders whose tests run several at once. */
export const UNIT_FOLDERS = ["shared", "enclave", "node", "console", "getting_started", "tests/tools"];

/** Tests of the page in a real browser: what drives it looks below /proc, which Deno allows with everything alone. */
export const BROWSER_FOLDER = "tests/console";

/** Other files that do. */
export const UNIT_FILES = [
  "tests/tidy_test.ts",
  "tests/sim/bare_test.ts",
  "tests/sim/driver_test.ts",
  "tests/sim/properties_test.ts",
  "tests/sim/random_test.ts",
];

/**
 * Files of these folders that take seconds each, since they replay whole services, run networks or wait for sockets: who is about to
 * commit does not wait for them.
 */
export const LONG_TESTS = [
  "console/governance/governance_test.ts",
  "console/ledger/audit_test.ts",
  "console/ledger/reading_test.ts",
  "console/pages/constitution/constitution_facts_test.ts",
  "console/pages/members/member_facts_test.ts",
  "console/pages/overview/overview_facts_test.ts",
  "console/pages/recovery/recovery_facts_test.ts",
  "enclave/audit/governance_audit_forged_test.ts",
  "enclave/audit/governance_audit_test.ts",
  "enclave/channels/hostile_peer_test.ts",
  "enclave/endpoints/join_recorded_test.ts",
  "enclave/enclave_test.ts",
  "enclave/hardware_start_test.ts",
  "enclave/late_node_test.ts",
  "enclave/network_certificates_test.ts",
  "enclave/network_test.ts",
  "enclave/node_rows_test.ts",
  "enclave/snapshotter_test.ts",
  "node/commands/ledger_verify_test.ts",
  "node/console_relay_test.ts",
  "node/enclave_worker_test.ts",
  "node/ledger_audit_test.ts",
  "node/peer_faults_test.ts",
  "node/peers_test.ts",
  "node/tls_server_test.ts",
  "node/web_server_test.ts",
  "shared/attestation/dcap/verify_test.ts",
  "shared/attestation/snp_test.ts",
  "shared/attestation/vectors_test.ts",
  "shared/ledger/replay_test.ts",
  "shared/trust/claim_test.ts",
];

/** Variables that tests read. Every other one looks unset to them. */
const VARIABLES = ["CI", "QUORATE_TEAM_FOLDER", "QUORATE_TEST_CONSTITUTION", "PATH", "TMPDIR", "NO_COLOR"];

// 192.0.2.1 is nobody's address (RFC 5737).
const permissions = () => [
  "--allow-read",
  `--allow-write=${tmpdir()}`,
  "--allow-net=127.0.0.1,localhost,192.0.2.1,no-such-host.invalid",
  `--allow-env=${VARIABLES.join(",")}`,
  "--ignore-env",
];

/**
 * Reads the output of one run of `deno test`, e.g. `ok | 12 passed (3 steps) | 0 failed (2s)`.
 *
 * A run that ends without this line broke off, e.g. since the code does not compile: that is one failure.
 */
export function outcomeOf(output: string, succeeded: boolean): Outcome {
  // deno-lint-ignore no-control-regex -- colours are escape sequences
  const plain = output.replace(/\x1b\[[0-9;]*m/g, "");
  const skipped = new Map<string, number>();
  for (const [, count, reason] of plain.matchAll(/^(\d+) skipped: (.+)$/gm)) {
    skipped.set(reason!, (skipped.get(reason!) ?? 0) + Number(count));
  }
  const summary = [...plain.matchAll(/^(?:ok|FAILED) \| (\d+) passed[^|]*\| (\d+) failed/gm)].at(-1);
  if (summary === undefined) return { passed: 0, failed: succeeded ? 0 : 1, skipped };
  const failed = Number(summary[2]);
  // Deno counts a skipped test as passed, since it ran. A failure beside the tests, such as a leak, is a failure too.
  const passed = Number(summary[1]) - [...skipped.values()].reduce((sum, count) => sum + count, 0);
  return { passed, failed: succeeded ? failed : Math.max(failed, 1), skipped };
}

/** Several outcomes as one, in the words that end a run. */
export function summaryOf(outcomes: readonly Outcome[]): { readonly lines: string[]; readonly succeeded: boolean } {
  const sum = (count: (outcome: Outcome) => number) => outcomes.reduce((total, outcome) => total + count(outcome), 0);
  const skipped = new Map<string, number>();
  for (const outcome of outcomes) {
    for (const [reason, count] of outcome.skipped) skipped.set(reason, (skipped.get(reason) ?? 0) + count);
  }
  const failed = sum((outcome) => outcome.failed);
  const lines = [...skipped].map(([reason, count]) => `${count} skipped: ${reason}`);
  return { lines: [...lines, `${sum((outcome) => outcome.passed)} passed, ${failed} failed`], succeeded: failed === 0 };
}

/** Paths of the tests in a folder: Deno 2.9.6 does not keep to `--ignore` where several folders are named. */
export function testsIn(folder: string): string[] {
  return [...Deno.readDirSync(folder)].flatMap(({ name, isDirectory }) => {
    const path = `${folder}/${name}`;
    if (isDirectory) return testsIn(path);
    return /_test\.[jt]sx?$/.test(name) ? [path] : [];
  }).sort();
}

/** @param args permissions and files */
async function runDenoTest(...args: string[]): Promise<Outcome> {
  const command = new Deno.Command("deno", {
    args: ["test", "--no-prompt", ...args],
    stdout: "piped",
    stderr: "inherit",
  });
  const child = command.spawn();
  const decoder = new TextDecoder();
  let output = "";
  for await (const bytes of child.stdout) {
    Deno.stdout.writeSync(bytes);
    output += decoder.decode(bytes, { stream: true });
  }
  return outcomeOf(output, (await child.status).success);
}

if (import.meta.main) {
  const isUnit = Deno.args[0] === "unit";
  const several = [...UNIT_FOLDERS.flatMap(testsIn), ...UNIT_FILES].filter((path) => {
    return !isUnit || !LONG_TESTS.includes(path);
  });
  // `deno check` has gone before the short ones.
  const checking = isUnit ? ["--no-check"] : [];
  const outcomes = [await runDenoTest(...permissions(), "--parallel", "--allow-run=openssl", ...checking, ...several)];
  if (!isUnit) {
    // What starts nodes and other processes runs one file after the other, so that nothing waits for a busy machine.
    const apart = [...UNIT_FOLDERS, ...UNIT_FILES, BROWSER_FOLDER].filter((path) => path.startsWith("tests/"));
    // To stop a node by the ID it wrote down takes the whole permission to run; a list of programs is not enough.
    outcomes.push(await runDenoTest(...permissions(), "--allow-run", `--ignore=${apart.join(",")}`, "tests"));
    outcomes.push(await runDenoTest("--allow-all", BROWSER_FOLDER));
  }
  const { lines, succeeded } = summaryOf(outcomes);
  console.log(lines.join("\n"));
  Deno.exit(succeeded ? 0 : 1);
}
