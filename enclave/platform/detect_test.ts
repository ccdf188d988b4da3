import { strict as assert } from "node:assert";
import { detectPlatform, type PlatformKind } from "./detect.ts";
import { follow, NO_PERMISSION, PlatformFailure } from "./devices.ts";
import { failed, FakeMachine } from "./fake_machine.ts";
import { gramineQuote } from "./gramine.ts";

function machine(change: Partial<Pick<FakeMachine, "provider" | "gramine" | "sevGuest">> = {}): FakeMachine {
  return Object.assign(new FakeMachine(), change);
}

const detect = (on: FakeMachine, configured?: PlatformKind) =>
  follow(detectPlatform(configured, "quorate-1"), on.perform);

function refusal(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    assert.ok(error instanceof PlatformFailure, `${error}`);
    return error.message;
  }
  throw new Error("Nothing was thrown");
}

const sevGuest = () => failed("EIO");

Deno.test("detectPlatform() finds what there is", () => {
  assert.deepEqual(detect(machine({ provider: "sev_guest", sevGuest })), { kind: "snp", by: "configfs-tsm" });
  assert.deepEqual(detect(machine({ sevGuest })), { kind: "snp", by: "sev-guest" });
  assert.deepEqual(detect(machine({ provider: "", sevGuest })), { kind: "snp", by: "sev-guest" });
  assert.deepEqual(detect(machine({ provider: "tdx_guest" })), { kind: "tdx" });
  const gramine = { type: "dcap", quote: Uint8Array.of(1) };
  assert.deepEqual(detect(machine({ gramine })), { kind: "sgx" });
  assert.deepEqual(detect(machine({ gramine, sevGuest })), { kind: "sgx" }, "an enclave speaks for itself");
});

Deno.test("detectPlatform() says how it came to be virtual", () => {
  assert.deepEqual(detect(machine()), { kind: "virtual", notice: "no attested hardware was found" });
  const snp = machine({ provider: "sev_guest" });
  assert.deepEqual(detect(snp, "virtual"), { kind: "virtual", notice: "as /attestation/platform says" });
  assert.deepEqual(snp.done, [], "nothing is asked");
  const forbidden = machine({ provider: "sev_guest" });
  forbidden.faults.set("look", [NO_PERMISSION]);
  assert.match(
    (detect(forbidden) as { notice: string }).notice,
    /was not looked for: Deno lets nobody .* run-attested/,
  );
});

for (const kind of ["snp", "tdx", "sgx"] as const) {
  Deno.test(`detectPlatform() refuses to do without a configured ${kind}, and says what was looked for`, () => {
    assert.match(
      refusal(() => detect(machine(), kind)),
      new RegExp(
        `^Cannot use the platform "${kind}", which .*: there is none of /dev/attestation .*/sys/kernel/config/tsm`,
      ),
    );
    const forbidden = machine();
    forbidden.faults.set("look", [NO_PERMISSION]);
    assert.match(refusal(() => detect(forbidden, kind)), /start the node with `deno task run-attested`/);
  });
}

Deno.test("detectPlatform() refuses a configured platform on another machine", () => {
  assert.match(refusal(() => detect(machine({ provider: "tdx_guest" }), "snp")), /this machine is "tdx"/);
});

Deno.test("detectPlatform() does not make a node virtual because its hardware cannot be used", () => {
  const notRoot = machine({ provider: "sev_guest" });
  notRoot.faults.set("makeDirectory", ["EACCES"]);
  assert.match(refusal(() => detect(notRoot)), /start the node as root/);
  assert.match(
    refusal(() => detect(machine({ provider: "arm_cca_guest" }))),
    /"arm_cca_guest", which this version does not/,
  );
  const oldTdx = machine();
  oldTdx.others.add("/dev/tdx_guest");
  assert.match(
    refusal(() => detect(oldTdx)),
    /^Cannot get evidence of TDX: .* use Linux 6\.7 or later and mount configfs/,
  );
  assert.match(
    refusal(() => detect(machine({ gramine: { type: "none", quote: Uint8Array.of() } }))),
    /put sgx\.remote_attestation = "dcap" into the manifest/,
  );
});

Deno.test("gramineQuote() writes 64 bytes and reads the quote", () => {
  const enclave = machine({ gramine: { type: "dcap", quote: Uint8Array.of(3, 0) } });
  assert.deepEqual(follow(gramineQuote(new Uint8Array(32).fill(7)), enclave.perform), Uint8Array.of(3, 0));
  assert.deepEqual(enclave.gramineReportData, Uint8Array.of(...new Array(32).fill(7), ...new Array(32).fill(0)));
});

Deno.test("gramineQuote() says what to do where it gets none", () => {
  const ask = (on: FakeMachine) => refusal(() => follow(gramineQuote(new Uint8Array(32)), on.perform));
  const enclave = () => machine({ gramine: { type: "dcap", quote: Uint8Array.of() } });
  assert.match(ask(enclave()), /quote: it is empty; is the quoting service/);
  for (
    const [operation, expected] of [["write user_report_data", /^Cannot write /], ["read quote", /\(aesmd\)/]] as const
  ) {
    const broken = enclave();
    broken.faults.set(operation, ["EIO"]);
    assert.match(ask(broken), expected);
  }
});
