import { strict as assert } from "node:assert";
import fc from "fast-check";
import { MAX_TSM_ATTEMPTS, MAX_TSM_BUSY_WAITS, TSM_BUSY_WAIT_MS } from "../../shared/limits.ts";
import { teamData, teamTest } from "../../tests/team_data.ts";
import { TSM_DIRECTORY, tsmProvider, tsmReport } from "./configfs_tsm.ts";
import { follow, NO_PERMISSION, PlatformFailure } from "./devices.ts";
import { failed, FakeMachine } from "./fake_machine.ts";

const REPORT_DATA = new Uint8Array(32).fill(7);

function machine(): FakeMachine {
  const made = new FakeMachine();
  made.provider = "sev_guest";
  made.makeReport = (reportData) => Uint8Array.of(1, 2, ...reportData);
  made.certificates = Uint8Array.of(9);
  return made;
}

const ask = (from: FakeMachine, provider: "sev_guest" | "tdx_guest" = "sev_guest") =>
  follow(tsmReport(provider, "quorate-1", REPORT_DATA), from.perform);

function refusal(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    assert.ok(error instanceof PlatformFailure, `${error}`);
    return error.message;
  }
  throw new Error("Nothing was thrown");
}

Deno.test("tsmReport() asks in the order of the kernel's interface, over 64 bytes, and leaves nothing behind", () => {
  const kernel = machine();
  const { outblob, auxblob } = ask(kernel);
  assert.deepEqual(outblob, Uint8Array.of(1, 2, ...REPORT_DATA, ...new Uint8Array(32)));
  assert.deepEqual(auxblob, Uint8Array.of(9));
  assert.deepEqual(kernel.done, [
    "makeDirectory quorate-1-0",
    "read provider",
    "read generation",
    "write inblob",
    "read outblob",
    "read auxblob",
    "read generation",
    "removeDirectory quorate-1-0",
  ]);
  assert.equal(kernel.requests.size, 0);
});

teamTest("tsmReport() gives recorded evidence of a Genoa machine on, byte for byte", () => {
  const kernel = machine();
  const file = (name: string) =>
    Deno.readFileSync(teamData(`attestation/vectors/snp/snp-genoa-v3-configfs-tsm/${name}.bin`));
  kernel.makeReport = () => file("report");
  kernel.certificates = file("auxblob");
  const { outblob, auxblob } = ask(kernel);
  assert.deepEqual(outblob, file("report"));
  assert.deepEqual(auxblob, file("auxblob"));
});

Deno.test("tsmReport() asks TDX for no certificates", () => {
  const kernel = machine();
  kernel.provider = "tdx_guest";
  kernel.hasAuxblob = false;
  assert.equal(ask(kernel, "tdx_guest").auxblob.length, 0);
  assert.ok(!kernel.done.includes("read auxblob"));
});

Deno.test("tsmReport() does without certificates where the kernel has no such attribute", () => {
  const kernel = machine();
  kernel.hasAuxblob = false;
  assert.equal(ask(kernel).auxblob.length, 0);
});

Deno.test("tsmReport() asks again where somebody else wrote to its request, since the report may be over other data", () => {
  const kernel = machine();
  let disturbed = 0;
  kernel.meanwhile = (operation, requests) => {
    if (operation.kind !== "read" || !operation.path.endsWith("/outblob") || disturbed === 2) return;
    disturbed++;
    for (const request of requests.values()) {
      request.inblob = new Uint8Array(64).fill(0xee);
      request.generation += 1;
    }
  };
  assert.deepEqual(ask(kernel).outblob.subarray(2, 34), REPORT_DATA);
  assert.equal(kernel.done.filter((name) => name.startsWith("makeDirectory")).length, 3);
  assert.equal(kernel.requests.size, 0);
});

Deno.test("tsmReport() gives up where somebody else always writes to its request", () => {
  const kernel = machine();
  kernel.meanwhile = (operation, requests) => {
    if (operation.kind !== "read" || !operation.path.endsWith("/outblob")) return;
    for (const request of requests.values()) request.generation += 1;
  };
  assert.match(refusal(() => ask(kernel)), /another process wrote to our request, 5 times in a row/);
  assert.equal(kernel.done.filter((name) => name.startsWith("makeDirectory")).length, MAX_TSM_ATTEMPTS);
  assert.equal(kernel.requests.size, 0);
});

Deno.test("tsmReport() takes another name where one is taken, and gives up after a few", () => {
  const kernel = machine();
  kernel.requests.set("quorate-1-0", { generation: 0, inblob: undefined });
  assert.equal(ask(kernel).outblob.length, 66);
  assert.ok(kernel.done.includes("makeDirectory quorate-1-0.1"));
  assert.ok(kernel.requests.has("quorate-1-0"), "what is not ours is left alone");
  const full = machine();
  full.faults.set("makeDirectory", new Array(MAX_TSM_ATTEMPTS).fill("EEXIST"));
  assert.match(refusal(() => ask(full)), /5 names that begin with quorate-1-0 are taken; remove what/);
});

Deno.test("tsmReport() waits while the provider is busy or interrupted, but not for ever", () => {
  const kernel = machine();
  kernel.faults.set("read outblob", ["EBUSY", "EINTR", "EBUSY"]);
  assert.equal(ask(kernel).outblob.length, 66);
  assert.equal(kernel.waitedMs, 3 * TSM_BUSY_WAIT_MS);
  const busy = machine();
  busy.faults.set("read outblob", new Array(MAX_TSM_BUSY_WAITS + 1).fill("EBUSY"));
  assert.match(
    refusal(() => ask(busy)),
    /^Cannot read .*\/outblob: EBUSY of a test \(EBUSY\); it stayed so for 10 sec/,
  );
  assert.equal(busy.waitedMs, MAX_TSM_BUSY_WAITS * TSM_BUSY_WAIT_MS);
  assert.equal(busy.requests.size, 0);
});

for (
  const [what, operation, code, expected] of [
    ["the provider goes away while it is asked", "read outblob", "ENXIO", /no attestation driver loaded/],
    ["the provider takes other sizes", "read outblob", "EINVAL", /takes no report data of 64 bytes/],
    ["a report is too large for the kernel", "read outblob", "EFBIG", /a report has at most 65536 bytes/],
    ["a report is too large for us", "read outblob", "TOO_LONG", /a report has at most 65536 bytes/],
    ["the host of TDX has no quote service", "read outblob", "EIO", /TDX needs the quote generation service/],
    ["the process is not root", "makeDirectory", "EACCES", /start the node as root, or give its user that right/],
    ["the runtime forbids it", "makeDirectory", NO_PERMISSION, /deno task run-attested/],
    ["configfs is not mounted", "makeDirectory", "ENOENT", /mount configfs on \/sys\/kernel\/config; .* Linux 6\.7/],
    ["the request cannot be written", "write inblob", "EBUSY", /^Cannot write .*\/inblob: /],
    ["there is no generation", "read generation", "EIO", /^Cannot read .*\/generation: /],
    ["the provider is not told", "read provider", "ENXIO", /no attestation driver loaded/],
    ["certificates cannot be read", "read auxblob", "EIO", /^Cannot read .*\/auxblob: /],
  ] as const
) {
  Deno.test(`tsmReport() says what to do where ${what}`, () => {
    const kernel = machine();
    kernel.faults.set(operation, [code]);
    assert.match(refusal(() => ask(kernel)), expected);
    assert.equal(kernel.requests.size, 0, "its directory is removed");
  });
}

Deno.test("tsmReport() refuses another provider than the one wanted, and none", () => {
  const kernel = machine();
  assert.match(refusal(() => ask(kernel, "tdx_guest")), /reports come from "sev_guest", and "tdx_guest" is wanted/);
  kernel.provider = "";
  assert.match(refusal(() => ask(kernel)), /load sev-guest or tdx-guest/);
});

Deno.test("tsmReport() refuses a generation that is no number", () => {
  const kernel = machine();
  const perform: typeof kernel.perform = (operation) =>
    operation.kind === "read" && operation.path.endsWith("/generation")
      ? { isDone: true, bytes: new TextEncoder().encode("seven\n") }
      : kernel.perform(operation);
  assert.match(
    refusal(() => follow(tsmReport("sev_guest", "quorate-1", REPORT_DATA), perform)),
    /"seven" is no number; is that configfs-tsm\?/,
  );
});

Deno.test("tsmReport() does not fail for a directory that cannot be removed", () => {
  const kernel = machine();
  kernel.faults.set("removeDirectory", ["EBUSY"]);
  assert.equal(ask(kernel).outblob.length, 66);
});

Deno.test("whatever fails, and whoever interferes, tsmReport() ends with a report over our data or a sentence, and tidies up", () => {
  const code = fc.constantFrom("EBUSY", "EINTR", "EINVAL", "ENXIO", "EEXIST", "ENOENT", "EACCES", "EIO", "ELOOP");
  const trouble = fc.record({ at: fc.nat(60), what: fc.oneof(code, fc.constant("interference" as const)) });
  const outcomes = { report: 0, sentence: 0 };
  fc.assert(
    fc.property(fc.array(trouble, { maxLength: 6 }), (troubles) => {
      const kernel = machine();
      let count = 0;
      let stuck = 0;
      const perform: typeof kernel.perform = (operation) => {
        const { what } = troubles.find(({ at }) => at === count) ?? {};
        count++;
        if (what === "interference") {
          for (const request of kernel.requests.values()) {
            request.inblob = new Uint8Array(64).fill(0xee);
            request.generation += 1;
          }
        } else if (what !== undefined && operation.kind !== "wait") {
          if (operation.kind === "removeDirectory") stuck++;
          return failed(what);
        }
        return kernel.perform(operation);
      };
      try {
        const { outblob } = follow(tsmReport("sev_guest", "quorate-1", REPORT_DATA), perform);
        assert.deepEqual(outblob.subarray(2, 34), REPORT_DATA);
        outcomes.report++;
      } catch (error) {
        assert.ok(error instanceof PlatformFailure, `${error}`);
        assert.match(error.message, /^Cannot .*[;,:] /);
        outcomes.sentence++;
      }
      assert.equal(kernel.requests.size, stuck);
    }),
    { numRuns: 1000 },
  );
  assert.ok(outcomes.report > 50 && outcomes.sentence > 50, JSON.stringify(outcomes));
});

Deno.test("tsmProvider() names who provides reports", () => {
  const kernel = machine();
  const provider = () => follow(tsmProvider("quorate-1"), kernel.perform);
  assert.equal(provider(), "sev_guest");
  assert.equal(kernel.requests.size, 0);
  kernel.provider = "";
  assert.equal(provider(), undefined);
  kernel.provider = undefined;
  assert.equal(provider(), undefined);
  kernel.faults.set(`look ${TSM_DIRECTORY.split("/").at(-1)}`, ["EACCES"]);
  assert.match(refusal(provider), /^Cannot look for .*as root/);
});
