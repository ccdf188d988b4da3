import { strict as assert } from "node:assert";
import { fromHex, toHex, Writer } from "../../shared/bytes.ts";
import { MAX_SEV_CERTIFICATE_BYTES, MAX_SEV_GUEST_WAITS, SEV_GUEST_WAIT_MS } from "../../shared/limits.ts";
import { type DeviceOutcome, follow, PlatformFailure, type SevGuestOperation } from "./devices.ts";
import { failed, FakeMachine } from "./fake_machine.ts";
import { parseKeyResponse, parseReportResponse, sevDerivedKey, sevGuestReport } from "./sev_guest.ts";

const REPORT_DATA = new Uint8Array(32).fill(7);
const REPORT = new Uint8Array(1184).fill(3);
const TCB = fromHex("04000000000018db");

const response = (status: number, report: Uint8Array, size = report.length) =>
  new Writer(4000).u32(status).u32(size).zeros(24).bytes(report).zeros(4000 - 32 - report.length).finish();

const keyResponse = (status: number, key: Uint8Array) => new Writer(64).u32(status).zeros(28).bytes(key).finish();

const denied = (hypervisorError: number, wantedBytes?: number): DeviceOutcome => ({
  isDone: false,
  code: "EIO",
  message: "EIO of a test",
  firmwareError: 0,
  hypervisorError,
  ...(wantedBytes !== undefined && { wantedBytes }),
});

/** Answers each request with the next outcome. */
function machine(...outcomes: readonly DeviceOutcome[]): FakeMachine & { readonly asked: SevGuestOperation[] } {
  const left = [...outcomes];
  const asked: SevGuestOperation[] = [];
  return Object.assign(new FakeMachine(), {
    asked,
    sevGuest: (operation: SevGuestOperation) => {
      asked.push(operation);
      return left.shift() ?? failed("EIO");
    },
  });
}

function refusal(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    assert.ok(error instanceof PlatformFailure, `${error}`);
    return error.message;
  }
  throw new Error("Nothing was thrown");
}

Deno.test("sevGuestReport() asks for an extended report, with room for certificates", () => {
  const kernel = machine({ isDone: true, bytes: response(0, REPORT), certificates: Uint8Array.of(5) });
  const { report, certificates } = follow(sevGuestReport(REPORT_DATA), kernel.perform);
  assert.deepEqual(report, REPORT);
  assert.deepEqual(certificates, Uint8Array.of(5));
  const [asked] = kernel.asked;
  assert.equal(asked!.request, "extendedReport");
  assert.equal(asked!.certificateBytes, 16384);
  // 32 bytes of ours, 32 zeros, VMPL 0, 28 zeros.
  assert.equal(toHex(asked!.bytes), "07".repeat(32) + "00".repeat(32 + 4 + 28));
});

Deno.test("sevGuestReport() offers the room that the hypervisor asks for, in whole pages", () => {
  const kernel = machine(denied(1, 9000), { isDone: true, bytes: response(0, REPORT) });
  assert.deepEqual(follow(sevGuestReport(REPORT_DATA), kernel.perform).report, REPORT);
  assert.deepEqual(kernel.asked.map(({ certificateBytes }) => certificateBytes), [16384, 12288]);
});

Deno.test("sevGuestReport() does without certificates that take too much room", () => {
  const kernel = machine(denied(1, MAX_SEV_CERTIFICATE_BYTES + 1), { isDone: true, bytes: response(0, REPORT) });
  const { report, certificates } = follow(sevGuestReport(REPORT_DATA), kernel.perform);
  assert.deepEqual(report, REPORT);
  assert.equal(certificates.length, 0);
  assert.deepEqual(kernel.asked.map(({ request }) => request), ["extendedReport", "report"]);
});

Deno.test("sevGuestReport() waits while the hypervisor is busy, but not for ever", () => {
  const kernel = machine(denied(2), failed("EINTR"), { isDone: true, bytes: response(0, REPORT) });
  follow(sevGuestReport(REPORT_DATA), kernel.perform);
  assert.equal(kernel.waitedMs, 2 * SEV_GUEST_WAIT_MS);
  const busy = machine(...new Array(MAX_SEV_GUEST_WAITS + 1).fill(denied(2)));
  assert.match(refusal(() => follow(sevGuestReport(REPORT_DATA), busy.perform)), /the hypervisor limits requests/);
});

Deno.test("sevGuestReport() tells both error codes where it is refused", () => {
  const kernel = machine({ isDone: false, code: "EIO", message: "I/O error", firmwareError: 25, hypervisorError: 7 });
  assert.match(
    refusal(() => follow(sevGuestReport(REPORT_DATA), kernel.perform)),
    /^Cannot get a report from \/dev\/sev-guest: I\/O error \(EIO\); firmware error 25, hypervisor error 7; look/,
  );
});

Deno.test("parseReportResponse() refuses what the firmware refuses, and what is no answer", () => {
  assert.match(refusal(() => parseReportResponse(response(0x16, REPORT))), /status 0x16, invalid parameters; is the f/);
  assert.match(refusal(() => parseReportResponse(response(0x99, REPORT))), /status 0x99; is the f/);
  assert.match(refusal(() => parseReportResponse(response(0, REPORT, 3969))), /3969 bytes, and there is room for 3968/);
  assert.match(refusal(() => parseReportResponse(new Uint8Array(1))), /the answer has 1 bytes, not 4000/);
});

Deno.test("sevDerivedKey() mixes in policy, measurement and TCB version", () => {
  const key = new Uint8Array(32).fill(9);
  const kernel = machine({ isDone: true, bytes: keyResponse(0, key) });
  assert.deepEqual(follow(sevDerivedKey(TCB), kernel.perform), key);
  const [asked] = kernel.asked;
  assert.equal(asked!.request, "derivedKey");
  // Root key 0; fields 1 + 8 + 32; VMPL 0; guest SVN 0; the TCB version as a report has it.
  assert.equal(
    toHex(asked!.bytes),
    "0000000000000000" + "2900000000000000" + "00000000" + "00000000" + "04000000000018db",
  );
});

Deno.test("parseKeyResponse() refuses what the firmware refuses, and a key that is none", () => {
  const key = new Uint8Array(32).fill(9);
  assert.match(refusal(() => parseKeyResponse(keyResponse(0x27, key))), /status 0x27, invalid key selection/);
  assert.match(refusal(() => parseKeyResponse(keyResponse(0, new Uint8Array(32)))), /it is all zeros/);
  assert.match(refusal(() => parseKeyResponse(new Uint8Array(63))), /the answer has 63 bytes, not 64/);
});
