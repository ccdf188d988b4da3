import { strict as assert } from "node:assert";
import { join } from "node:path";
import {
  type DeviceError,
  type DeviceOperation,
  NO_PERMISSION,
  type Protocol,
  TOO_LONG,
} from "../enclave/platform/devices.ts";
import { errorOf, followWith, kernelDevices } from "./attestation_devices.ts";
import { withTempDirectory } from "./test_file_system.ts";

const perform = kernelDevices();

async function code(operation: DeviceOperation): Promise<string> {
  const outcome = await perform(operation);
  return outcome.isDone ? "done" : outcome.code;
}

Deno.test("operations on files do what they say, and tell errors by name", () =>
  withTempDirectory(async (directory) => {
    const path = join(directory, "request");
    assert.equal(await code({ kind: "look", path }), "ENOENT");
    assert.equal(await code({ kind: "makeDirectory", path }), "done");
    assert.equal(await code({ kind: "makeDirectory", path }), "EEXIST");
    assert.equal(await code({ kind: "look", path }), "done");
    const inblob = join(path, "inblob");
    assert.equal(await code({ kind: "write", path: inblob, bytes: new Uint8Array(3) }), "ENOENT", "none is made");
    await Deno.writeFile(inblob, new Uint8Array(10).fill(1));
    assert.equal(await code({ kind: "write", path: inblob, bytes: new Uint8Array(3).fill(2) }), "done");
    assert.deepEqual([...await Deno.readFile(inblob)], [2, 2, 2, 1, 1, 1, 1, 1, 1, 1], "none is cut");
    assert.equal(await code({ kind: "read", path: join(path, "none"), maxBytes: 1 }), "ENOENT");
    assert.equal(await code({ kind: "read", path: join(inblob, "x"), maxBytes: 1 }), "ENOTDIR");
    await Deno.remove(inblob);
    assert.equal(await code({ kind: "removeDirectory", path }), "done");
    assert.equal(await code({ kind: "removeDirectory", path }), "ENOENT");
    assert.equal(await code({ kind: "wait", ms: 1 }), "done");
  }));

Deno.test("files are read to their end, and no further than asked", () =>
  withTempDirectory(async (directory) => {
    const path = join(directory, "outblob");
    const bytes = Uint8Array.from({ length: 40_000 }, (_, i) => i % 251);
    await Deno.writeFile(path, bytes);
    assert.deepEqual(await perform({ kind: "read", path, maxBytes: 40_000 }), { isDone: true, bytes });
    assert.equal(await code({ kind: "read", path, maxBytes: 39_999 }), TOO_LONG);
  }));

Deno.test("a device that cannot be reached is an outcome, not an exception", async () => {
  const broken = kernelDevices(() => {
    throw new Deno.errors.NotCapable("Requires ffi access");
  });
  const outcome = await broken({ kind: "sevGuest", request: "report", bytes: new Uint8Array(96), certificateBytes: 0 });
  assert.equal((outcome as DeviceError).code, NO_PERMISSION);
});

Deno.test("errorOf() reads what the runtime throws", () => {
  const busy = Object.assign(new Error("Device or resource busy (os error 16): read '/sys/x'"), { code: "EBUSY" });
  assert.deepEqual(errorOf(busy), { isDone: false, code: "EBUSY", message: "Device or resource busy" });
  assert.equal(errorOf(new Error("No such device or address (os error 6)")).code, "ENXIO");
  assert.equal(errorOf(new Error("File too large (os error 27)")).code, "EFBIG");
  assert.equal(errorOf(new Error("Something (os error 250)")).code, "E250");
  assert.equal(errorOf(new Error("Something")).code, "EUNKNOWN");
  assert.equal(errorOf(new Deno.errors.NotCapable("Requires all access")).code, NO_PERMISSION);
  assert.throws(() => errorOf("a text"));
});

Deno.test("followWith() gives each outcome to the protocol, and returns its result", async () => {
  function* protocol(): Protocol<readonly boolean[]> {
    const first = yield { kind: "wait", ms: 0 } as const;
    const second = yield { kind: "look", path: "/" } as const;
    return [first.isDone, second.isDone];
  }
  assert.deepEqual(await followWith(protocol(), perform), [true, true]);
});
