import { strict as assert } from "node:assert";
import { toHex, toUtf8, Writer } from "../shared/bytes.ts";
import { follow, type SevGuestOperation } from "../enclave/platform/devices.ts";
import { FakeMachine } from "../enclave/platform/fake_machine.ts";
import { sevDerivedKey, sevGuestReport } from "../enclave/platform/sev_guest.ts";
import { type LibC, requestFrom } from "./sev_guest_device.ts";

/** What the driver sees behind the pointers of a call. */
interface Call {
  readonly code: bigint;
  readonly argument: Uint8Array;
  readonly request: Uint8Array;
  readonly response: Uint8Array;
}

/** A C library and a kernel behind it. Addresses are made up, none at the beginning of a page. */
class FakeLibC implements LibC {
  readonly #memory = new Map<ArrayBufferLike, bigint>();
  readonly opened: string[] = [];
  closed = 0;
  canOpen = true;
  errnoValue = 0;

  constructor(readonly driver: (call: Call, libC: FakeLibC) => number) {}

  open(path: Uint8Array, flags: number): number {
    this.opened.push(`${new TextDecoder().decode(path)} ${flags.toString(8)}`);
    return this.canOpen ? 3 : -1;
  }

  ioctl(file: number, code: bigint, argument: Uint8Array): number {
    assert.equal(file, 3);
    const view = new DataView(argument.buffer);
    return this.driver({
      code,
      argument,
      request: this.at(view.getBigUint64(8, true)),
      response: this.at(view.getBigUint64(16, true)),
    }, this);
  }

  close(): number {
    this.closed++;
    return 0;
  }

  errno(): number {
    return this.errnoValue;
  }

  addressOf(bytes: Uint8Array): bigint {
    const start = this.#memory.get(bytes.buffer) ?? 0x7f00_0000_0123n + 0x10_0000n * BigInt(this.#memory.size);
    this.#memory.set(bytes.buffer, start);
    return start + BigInt(bytes.byteOffset);
  }

  /** Memory from an address on. */
  at(address: bigint): Uint8Array {
    for (const [buffer, start] of this.#memory) {
      const at = Number(address - start);
      if (at >= 0 && at <= buffer.byteLength) return new Uint8Array(buffer, at);
    }
    throw new Error(`The driver was pointed to nothing, 0x${address.toString(16)}`);
  }
}

const reportResponse = (report: Uint8Array) =>
  new Writer(64).u32(0).u32(report.length).zeros(24).bytes(report).finish();

const operation = (change: Partial<SevGuestOperation> = {}): SevGuestOperation => ({
  kind: "sevGuest",
  request: "report",
  bytes: new Uint8Array(96).fill(1),
  certificateBytes: 0,
  ...change,
});

Deno.test("a report is asked for with the structures of sev-guest.h", () => {
  const libC = new FakeLibC(({ code, argument, request, response }) => {
    assert.equal(code, 0xc0205300n);
    assert.equal(argument.length, 32);
    assert.equal(argument[0], 1);
    assert.equal(toHex(argument.subarray(1, 8)), "00".repeat(7));
    assert.equal(toHex(argument.subarray(24)), "00".repeat(8));
    assert.deepEqual(request, new Uint8Array(96).fill(1));
    assert.equal(response.length, 4000);
    response.set(reportResponse(Uint8Array.of(5)));
    return 0;
  });
  const outcome = requestFrom(libC, operation());
  assert.ok(outcome.isDone);
  assert.equal(outcome.bytes[32], 5);
  assert.equal(outcome.certificates, undefined);
  // O_RDWR | O_CLOEXEC
  assert.deepEqual(libC.opened, ["/dev/sev-guest\0 2000002"]);
  assert.equal(libC.closed, 1);
});

Deno.test("an extended report is asked for with room for certificates that begins at a page", () => {
  const libC = new FakeLibC(({ code, request, response }, { at }) => {
    assert.equal(code, 0xc0205302n);
    assert.equal(request.length, 112);
    const view = new DataView(request.buffer);
    const address = view.getBigUint64(96, true);
    assert.equal(address % 4096n, 0n);
    assert.equal(view.getUint32(104, true), 8192);
    assert.equal(view.getUint32(108, true), 0);
    at.call(libC, address).set(toUtf8("certificates"));
    response.set(reportResponse(Uint8Array.of(5)));
    return 0;
  });
  const outcome = requestFrom(libC, operation({ request: "extendedReport", certificateBytes: 8192 }));
  assert.ok(outcome.isDone);
  assert.equal(outcome.certificates!.length, 8192);
  assert.equal(new TextDecoder().decode(outcome.certificates!.subarray(0, 12)), "certificates");
});

Deno.test("a hypervisor that wants more room says how much", () => {
  const libC = new FakeLibC(({ argument, request }, libC) => {
    new DataView(argument.buffer).setUint32(28, 1, true);
    new DataView(request.buffer).setUint32(104, 12288, true);
    libC.errnoValue = 5;
    return -1;
  });
  const outcome = requestFrom(libC, operation({ request: "extendedReport", certificateBytes: 4096 }));
  assert.deepEqual(outcome, {
    isDone: false,
    code: "EIO",
    message: "the request is refused",
    firmwareError: 0,
    hypervisorError: 1,
    wantedBytes: 12288,
  });
  assert.equal(libC.closed, 1);
});

Deno.test("a refusal is one whatever has become of errno", () => {
  for (const [errno, code] of [[0, "EIO"], [25, "ENOTTY"], [99, "E99"]] as const) {
    const libC = new FakeLibC((_, libC) => {
      libC.errnoValue = errno;
      return -1;
    });
    const outcome = requestFrom(libC, operation());
    assert.ok(!outcome.isDone);
    assert.equal(outcome.code, code);
  }
  const silent = new FakeLibC(({ argument }) => {
    new DataView(argument.buffer).setUint32(28, 2, true);
    return 0;
  });
  assert.ok(!requestFrom(silent, operation()).isDone, "the hypervisor's error counts too");
});

Deno.test("a device that cannot be opened is told by its error", () => {
  const libC = new FakeLibC(() => 0);
  libC.canOpen = false;
  libC.errnoValue = 13;
  assert.deepEqual(requestFrom(libC, operation()), {
    isDone: false,
    code: "EACCES",
    message: "/dev/sev-guest cannot be opened",
  });
  assert.equal(libC.closed, 0);
});

Deno.test("protocols of reports and keys get through to the driver", () => {
  const kernel = (driver: (call: Call) => void) => {
    const libC = new FakeLibC((call) => {
      driver(call);
      return 0;
    });
    return Object.assign(new FakeMachine(), { sevGuest: (asked: SevGuestOperation) => requestFrom(libC, asked) });
  };
  const report = new Uint8Array(1184).fill(3);
  const reports = kernel(({ response }) => response.set(reportResponse(report)));
  assert.deepEqual(follow(sevGuestReport(new Uint8Array(64)), reports.perform).report, report);
  const keys = kernel(({ code, request, response }) => {
    assert.equal(code, 0xc0205301n);
    assert.equal(request.length, 32);
    response.fill(9, 32, 64);
  });
  assert.deepEqual(follow(sevDerivedKey(new Uint8Array(8)), keys.perform), new Uint8Array(32).fill(9));
});
