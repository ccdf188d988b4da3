import { strict as assert } from "node:assert";
import { join } from "node:path";
import { parseChunk } from "../../shared/ledger/chunk.ts";
import { runDecrypt, runVerify, type VerifyOptions } from "./ledger.ts";
import { loadScriptEngine } from "../../enclave/js/runtime.ts";
import { startInlineService } from "../../tests/inline_service.ts";
import { RecordedOutput } from "../../tests/recorded_output.ts";
import { ledgerDirectories, type LedgerDirectory, ledgerDirectory } from "../../tests/services.ts";
import { teamTest } from "../../tests/team_data.ts";
import { memberKeys, verify, withCopy } from "../../tests/verify_ledger.ts";

const engine = await loadScriptEngine(() => performance.now());

/** All options that a service has something for. */
function everything(directory: LedgerDirectory): VerifyOptions {
  return {
    memberKey: memberKeys(directory),
    ...(directory.snapshots !== undefined && { snapshots: directory.snapshots }),
    // The certificate kept is the last one, and a directory from before a recovery ends with an earlier.
    ...(!directory.name.endsWith("/before_recovery") && { serviceCert: join(directory.common, "service_cert.pem") }),
  };
}

/** What each directory ends with: last signature, last transaction, warnings. Snapshots: those that are there. */
const SERVICES: Readonly<Record<string, readonly [lastSigned: string, last: string, ...warnings: string[]]>> = {
  "cose_flipflop_service": ["2.46", "2.46"],
  "double_sealed_service": ["5.509", "5.509", "The secret from 1 is sealed a second time"],
  "eol_service": ["10.500", "10.500"],
  "recorded_governance": ["2.149", "2.149"],
  "recorded_join": ["2.47", "2.47"],
  "recorded_nodes/node0": ["3.49", "3.49"],
  "recorded_nodes/node1": ["5.85", "5.85"],
  "recorded_nodes/node2": ["5.87", "5.87"],
  "recorded_nodes/node3": ["5.87", "5.87"],
  "recorded_orphans/dead_primary": ["2.57", "2.57"],
  "recorded_orphans/joiner": ["3.69", "3.69"],
  "recorded_orphans/new_primary": ["3.69", "3.69"],
  "recorded_recovery": ["6.75", "6.75"],
  "recorded_recovery/before_recovery": ["2.24", "2.24"],
  "recorded_recovery_shares": ["4.94", "4.94"],
  "recorded_recovery_shares/before_recovery": [
    "2.59",
    "2.60",
    "No signature covers the transactions after 2.59",
    "File ledger_55 ends with 56 bytes that are no whole entry",
  ],
  "recorded_rekey": ["4.233", "4.233"],
  "recorded_rekey/before_recovery": ["2.212", "2.212"],
};

/** Where older versions wrote what 7.0.0-dev7 does not: the first of it, and all kinds of it. */
const STRICT_EXCEPTIONS: Readonly<Record<string, { readonly seqno: number; readonly reason: string }>> = {
  "cose_flipflop_service": { seqno: 2, reason: "The service's own COSE signature is missing" },
  "double_sealed_service": { seqno: 3, reason: "File ledger_1-2.committed ends where no entry says so" },
  "eol_service": { seqno: 1, reason: "The entry is of type 0, not 4" },
};

teamTest("ledger verify verifies every real service with snapshots, keys and certificate", () => {
  for (const directory of ledgerDirectories()) {
    const isUpstream = directory.name in STRICT_EXCEPTIONS;
    const report = verify([directory.ledger], { ...everything(directory), lenient: isUpstream });
    const [lastSigned, last, ...warnings] = SERVICES[directory.name]!;
    const snapshots = directory.snapshots === undefined ? 0 : [...Deno.readDirSync(directory.snapshots)].length;
    const { code, last_signed, last: found, warnings: said, deviations } = report;
    assert.deepEqual([directory.name, code, last_signed, found, said], [directory.name, 0, lastSigned, last, warnings]);
    assert.deepEqual([report.reason, report.first_failing_seqno, report.file], [null, null, null]);
    assert.deepEqual([report.snapshots, report.private_tables], [snapshots, true]);
    assert.equal(report.unsigned_tail, last === "2.60" ? 1 : 0);
    assert.equal(deviations.length > 0, isUpstream, directory.name);
  }
});

Deno.test("ledger verify and decrypt read what a node of ours writes", async () => {
  const workspace = await Deno.makeTempDir({ prefix: "quorate_ledger_" });
  try {
    const { node, sandbox, userCertificate } = await startInlineService(join(workspace, "w"), "native");
    for (let id = 0; id < 20; id++) {
      const body = JSON.stringify({ id, msg: `message ${id}` });
      node.request({ method: "POST", target: "/app/log/private", body, certificate: userCertificate });
    }
    node.send({ kind: "stop" });
    const ledger = join(workspace, "ledger");
    Deno.mkdirSync(ledger);
    for (const [name, bytes] of node.ledgerFiles()) Deno.writeFileSync(join(ledger, name), bytes);
    const serviceCert = join(workspace, "service_cert.pem");
    Deno.writeTextFileSync(serviceCert, node.servicePem);
    const memberKey = [0, 1].map((i) => join(sandbox.commonFolder, `member${i}_enc_privk.pem`));

    const { code, reason, last, unsigned_tail, warnings } = verify([ledger], { memberKey, serviceCert });
    assert.deepEqual([code, reason, unsigned_tail, warnings], [0, null, 0, []]);
    assert.equal(last, `2.${node.entries.length}`);
    const output = new RecordedOutput();
    assert.equal(runDecrypt(ledger, [], { memberKey, table: "records", key: "7" }, output), 0);
    assert.match(output.text, /\n {2}records\n {4}"7" = "message 7"$/);
  } finally {
    await Deno.remove(workspace, { recursive: true });
  }
});

teamTest("ledger verify is strict by default: what older versions wrote is refused at the first of it", () => {
  for (const [name, { seqno, reason }] of Object.entries(STRICT_EXCEPTIONS)) {
    const report = verify([ledgerDirectory(name).ledger]);
    assert.deepEqual([name, report.code, report.first_failing_seqno, report.reason], [name, 1, seqno, reason]);
  }
});

teamTest("ledger verify --lenient lists one by one what older versions wrote", () => {
  const count = (name: string) => {
    const rules: Record<string, number> = {};
    for (const { rule } of verify([ledgerDirectory(name).ledger], { lenient: true }).deviations) {
      rules[rule] = (rules[rule] ?? 0) + 1;
    }
    return rules;
  };
  // 23 signatures, of which 5 have COSE.
  assert.deepEqual(count("cose_flipflop_service"), {
    "signature without COSE": 18,
  });
  assert.deepEqual(Object.keys(count("double_sealed_service")), ["chunk boundary without a flag"]);
});

teamTest("ledger verify says for people what it found", () => {
  const directory = ledgerDirectory("recorded_join");
  const run = (options: VerifyOptions) => {
    const output = new RecordedOutput();
    runVerify(directory.ledger, [], options, output);
    return output;
  };
  const { snapshots } = directory;
  const verified = run({ memberKey: memberKeys(directory), snapshots: snapshots! });
  assert.deepEqual(verified.lines, [
    "Verified: 47 transactions, signed up to 2.47; 1 snapshot",
    "  service d3ac9e493fe836a52c47537c2e677990790a25b0405d3fa975384c50213fd4f1",
  ]);
  // Both passes over all files.
  const bytes = [...Deno.readDirSync(directory.ledger)].reduce(
    (sum, { name }) => sum + Deno.statSync(join(directory.ledger, name)).size,
    0,
  );
  assert.deepEqual(verified.progressed.at(-1), [2 * bytes, 2 * bytes]);
  assert.deepEqual(run({}).lines.slice(2), ["  private tables were not decrypted: no --member-key was given"]);

  const other = join(ledgerDirectory("recorded_rekey").common, "service_cert.pem");
  const refused = run({ serviceCert: other });
  assert.match(refused.lines[0]!, /^Refused: transaction 1: The service has key d3ac9e.*, and the given certificate/);
});

teamTest("ledger verify --governance tells what members decided", () => {
  const { ledger, snapshots } = ledgerDirectory("recorded_join");
  const output = new RecordedOutput();
  assert.equal(runVerify(ledger, [], { governance: true, snapshots: snapshots!, json: true }, output, engine), 0);
  const { governance } = JSON.parse(output.text);
  const said = (txId: string) =>
    governance.events.filter((event: { tx_id: string }) => event.tx_id === txId)
      .map((event: { what: string }) => event.what);
  assert.deepEqual(said("2.4").map((what: string) => what.replace(/[0-9a-f]{12}/, "…")), ["Member … is Active"]);
  assert.deepEqual(said("2.7").map((what: string) => what.replace(/[0-9a-f]{12}/, "…")), [
    "Proposal … is submitted: set_user, set_js_app, transition_service_to_open",
    "Proposal … is Open, with 0 ballots",
  ]);
  assert.ok(said("2.10").includes("The service is Open"));
  assert.equal(governance.recovery_threshold, 1);
  assert.deepEqual([governance.requests_decided_again, governance.findings], [21, []]);
  assert.deepEqual(governance.proposals[0].actions, ["set_user", "set_js_app", "transition_service_to_open"]);
  assert.deepEqual(governance.members.map((member: { status: string }) => member.status), ["Active", "Active"]);

  const joiner = ledgerDirectory("recorded_nodes/node3");
  const text = new RecordedOutput();
  assert.equal(runVerify(joiner.ledger, [], { governance: true, snapshots: joiner.snapshots! }, text, engine), 0);
  // Members are known from the snapshot, and nothing in it is news.
  assert.match(text.text, /^Governance\n {2}4\.70 {2}Node [0-9a-f]{12} is Pending\n/);
  assert.match(text.text, /\nMembers\n {2}[0-9a-f]{64} Active\n {2}[0-9a-f]{64} Active\n {2}recovery threshold 1\n/);
  assert.match(text.text, /\n {2}every decision that can be checked follows from what members signed\n/);
});

teamTest("ledger verify begins behind a snapshot where the first files are not there", () => {
  const { ledger, snapshots } = ledgerDirectory("recorded_nodes/node2");
  const without = verify([ledger]);
  assert.deepEqual([without.code, without.first_failing_seqno], [1, 1]);
  assert.equal(
    without.reason,
    "Transactions 1 to 11 are missing: the first file is ledger_12-33.committed; add the directory that has them, or " +
      "give --snapshots with a snapshot at 11",
  );
  assert.equal(verify([ledger], { snapshots: snapshots! }).code, 0);
  // Another node's files do as well.
  assert.equal(verify([ledger, ledgerDirectory("recorded_nodes/node1").ledger]).code, 0);
  const later = verify([ledger], { snapshots: ledgerDirectory("recorded_nodes/node1").snapshots! });
  assert.deepEqual([later.code, later.warnings], [0, [
    "Transactions before 65 are not verified: no snapshot leads to the first of them",
  ]]);
});

teamTest(
  "ledger verify --pin remembers the last signature, and refuses a ledger that does not continue it",
  async () => {
    const directory = ledgerDirectory("recorded_join");
    await withCopy(directory, (copy) => {
      const pin = join(copy, "ledger.pin");
      const open = join(copy, "ledger_32");
      const whole = Deno.readFileSync(open);
      const { content } = parseChunk(whole);
      // As it was at transaction 35.
      Deno.writeFileSync(open, whole.subarray(0, content[4]!.offset));
      assert.equal(verify([copy], { pin }).last_signed, "2.35");
      const first = JSON.parse(Deno.readTextFileSync(pin));
      assert.deepEqual([Object.keys(first), first.last_signed], [["service_identity", "last_signed", "root"], "2.35"]);

      // It grew.
      Deno.writeFileSync(open, whole);
      assert.equal(verify([copy], { pin }).code, 0);
      const second = JSON.parse(Deno.readTextFileSync(pin));
      assert.deepEqual([second.last_signed, second.service_identity], ["2.47", first.service_identity]);

      // It was cut.
      Deno.writeFileSync(open, whole.subarray(0, content[4]!.offset));
      const cut = verify([copy], { pin });
      assert.deepEqual([cut.code, cut.first_failing_seqno, cut.pin_breach, cut.reason], [
        1,
        36,
        "LedgerOlderThanPinned",
        "The ledger ends with transaction 2.35, before the pinned signature 2.47: it is an older state, or was cut short",
      ]);
      assert.deepEqual(JSON.parse(Deno.readTextFileSync(pin)), second);

      // It is another one.
      const other = verify([ledgerDirectory("recorded_rekey").ledger], { pin });
      assert.deepEqual([other.code, other.first_failing_seqno, other.pin_breach], [1, 47, "IdentityChanged"]);
      assert.match(
        other.reason!,
        /^At the pinned signature 2\.47 the service was d3ac9e.*: it is the ledger of another/,
      );

      for (
        const [change, reason] of [
          [{ root: "00".repeat(32), last_signed: "2.35" }, /^At the pinned signature 2\.35 the root was 0000/],
          [{ last_signed: "2.36" }, /^At the pinned|^Transaction 2\.36 was pinned as a signature, and is none here$/],
          [{ last_signed: "3.35" }, /^The ledger has transaction 2\.35 in the place of the pinned signature 3\.35/],
        ] as const
      ) {
        Deno.writeFileSync(open, whole);
        Deno.writeTextFileSync(pin, JSON.stringify({ ...first, ...change }));
        const report = verify([copy], { pin });
        assert.deepEqual([report.code, report.pin_breach], [1, "LedgerForked"]);
        assert.match(report.reason!, reason);
      }

      for (const text of ["", "{}", '{"service_identity":"a","last_signed":"2.35","root":"00"}']) {
        Deno.writeTextFileSync(pin, text);
        assert.throws(
          () => verify([copy], { pin }),
          /^UsageError: Cannot read the pin .*; put back the file that an earlier/,
        );
      }
      assert.throws(
        () => verify([copy], { pin: join(copy, "none", "ledger.pin") }),
        /^UsageError: Cannot write the pin .*: there is no directory .*none; make it, or name another file$/,
      );
    });
  },
);

teamTest("ledger verify --pin follows a service through its recovery, and says so", async () => {
  const pin = await Deno.makeTempFile();
  try {
    Deno.removeSync(pin);
    assert.equal(verify([ledgerDirectory("recorded_recovery/before_recovery").ledger], { pin }).last_signed, "2.24");
    const first = Deno.readTextFileSync(pin);
    const recovered = ledgerDirectory("recorded_recovery");
    // Anybody can write a recovery behind a public ledger: without word of who the service is now the pin stays.
    const alone = verify([recovered.ledger], { pin });
    assert.equal(alone.code, 0);
    assert.match(
      alone.warnings.join(),
      /^The service was recovered since 2\.24 was pinned: its identity is [0-9a-f]{64} now; the pin stays there until/,
    );
    assert.equal(Deno.readTextFileSync(pin), first);
    const serviceCert = join(recovered.common, "service_cert.pem");
    const { code, warnings } = verify([recovered.ledger], { pin, serviceCert });
    assert.equal(code, 0);
    assert.match(
      warnings.join(),
      /^The service was recovered since 2\.24 was pinned: its identity is [0-9a-f]{64} now$/,
    );
    assert.equal(JSON.parse(Deno.readTextFileSync(pin)).last_signed, "6.75");
    // From then on the service of before is an older state.
    const { ledger: old } = ledgerDirectory("recorded_recovery/before_recovery");
    assert.equal(verify([old], { pin }).pin_breach, "LedgerOlderThanPinned");
    // The pinned signature must be among what is verified.
    const { ledger, snapshots } = ledgerDirectory("recorded_nodes/node3");
    Deno.writeTextFileSync(
      pin,
      JSON.stringify({ service_identity: "0a".repeat(32), last_signed: "3.33", root: "00".repeat(32) }),
    );
    const behind = verify([ledger], { pin, snapshots: snapshots! });
    assert.deepEqual([behind.code, behind.pin_breach, behind.reason], [
      1,
      "PinNotCovered",
      "The pinned signature 3.33 lies before what was verified; add the files that have it",
    ]);
  } finally {
    Deno.removeSync(pin);
  }
});

teamTest("ledger verify compares snapshots with the ledger, and checks the receipts behind them", async () => {
  const directory = ledgerDirectory("recorded_join");
  const folder = await Deno.makeTempDir();
  const path = join(folder, "snapshot_11_12.committed");
  try {
    const original = Deno.readFileSync(join(directory.snapshots!, "snapshot_11_12.committed"));
    const size = 8 + new DataView(original.buffer).getUint32(2, true);
    const check = (bytes: Uint8Array, reason: RegExp) => {
      Deno.writeFileSync(path, bytes);
      const report = verify([directory.ledger], { snapshots: folder, memberKey: memberKeys(directory) });
      assert.deepEqual([report.code, report.first_failing_seqno, report.file], [1, 11, path], report.reason!);
      assert.match(report.reason!, reason);
    };
    const changed = (at: number) => {
      const bytes = original.slice();
      bytes[at]! ^= 1;
      return bytes;
    };
    check(changed(0), /format version/);
    check(changed(8), /is not sealed with the ledger secret/);
    check(changed(20_000), /differs in table "public:ccf\.gov\.constitution"/);
    check(changed(original.length - 1), /./);
    check(changed(size + 1000), /./);
    check(original.subarray(0, size), /^The snapshot file has no receipt behind the snapshot$/);
    check(original.subarray(0, size - 1), /^Cannot read a snapshot of/);

    Deno.removeSync(path);
    // Not committed, empty, or behind the end of the ledger.
    Deno.writeFileSync(join(folder, "snapshot_9_10"), changed(0));
    Deno.writeFileSync(join(folder, "snapshot_13_14.committed"), new Uint8Array());
    Deno.writeFileSync(join(folder, "snapshot_60_61.committed"), original);
    assert.deepEqual(verify([directory.ledger], { snapshots: folder }).warnings, [
      "The snapshot at 60 was not compared: the ledger does not lead there",
    ]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

teamTest("ledger verify says what is wrong with how it was called", () => {
  const { ledger, common } = ledgerDirectory("recorded_rekey");
  const key = (name: string) => join(common, name);
  const bad: [readonly string[], VerifyOptions, RegExp][] = [
    [["/nowhere"], {}, /^UsageError: Cannot read the ledger directory \/nowhere: there is no such directory$/],
    [[ledger, "/nowhere"], {}, /^UsageError: Cannot read the ledger directory \/nowhere/],
    [
      [join(common, "service_cert.pem")],
      {},
      /^UsageError: Cannot read the ledger directory .*service_cert\.pem: it is a file; give the directory that/,
    ],
    [[common], {}, /^UsageError: Cannot find a ledger in .*: there are no files like ledger_1-14\.committed/],
    [
      [ledger],
      { snapshots: "/nowhere" },
      /^UsageError: Cannot read the snapshot directory \/nowhere: there is no such/,
    ],
    [
      [ledger],
      { serviceCert: "/nowhere" },
      /^UsageError: Cannot read the service certificate \/nowhere: there is no such/,
    ],
    [[ledger], { serviceCert: key("member0_privk.pem") }, /^UsageError: Cannot use the service certificate /],
    [
      [ledger],
      { memberKey: ["/nowhere"] },
      /^UsageError: Cannot read the member key \/nowhere: there is no such file$/,
    ],
    [
      [ledger],
      { memberKey: [key("member0_privk.pem")] },
      /^UsageError: Cannot use the member key .*EC key.*of a member's two keys give the one for encryption/,
    ],
    [
      [ledger],
      { memberKey: [key("member0_enc_privk.pem")] },
      /^UsageError: Cannot restore the ledger secrets: it takes \d of the \d recovery shares of transaction \d+, and the given keys open 1; give the encryption keys of \d more of the members [0-9a-f]{8}/,
    ],
    [
      [ledger],
      { memberKey: [join(ledgerDirectory("recorded_join").common, "member0_enc_privk.pem")] },
      /^UsageError: Cannot restore the ledger secrets: the key in .*recorded_join.* is the encryption key of nobody in this ledger/,
    ],
  ];
  for (const [directories, options, message] of bad) assert.throws(() => verify(directories, options), message);
});
