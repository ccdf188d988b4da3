import assert from "node:assert/strict";

// A process of its own: calling foreign functions is a permission that no other test needs.
const SCRIPT = `
import { openSevGuest } from "${new URL("../node/sev_guest_device.ts", import.meta.url)}";
import { REPORT_REQUEST_BYTES } from "${new URL("../enclave/platform/sev_guest.ts", import.meta.url)}";
const bytes = new Uint8Array(REPORT_REQUEST_BYTES);
console.log(JSON.stringify(openSevGuest()({ kind: "sevGuest", request: "report", bytes, certificateBytes: 0 })));
`;

// The C library is a real one; the device is not there, or this is a machine with SEV-SNP, which may answer anything.
Deno.test({
  name: "the C library of this machine is found, and asked for the device of SEV-SNP",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    const command = new Deno.Command("deno", { args: ["eval", "--ext=ts", SCRIPT], stderr: "inherit" });
    const { code, stdout } = await command.output();
    assert.equal(code, 0);
    const outcome = JSON.parse(new TextDecoder().decode(stdout));
    if (outcome.isDone !== true) assert.match(outcome.code, /^E[A-Z0-9]+$/);
  },
});
