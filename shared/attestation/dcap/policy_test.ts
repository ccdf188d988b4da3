import { strict as assert } from "node:assert";
import { makeDcap } from "../../../tests/dcap_machine.ts";
import { type DcapPolicy, isvSvnRefusal, measurementRefusal, reportDataRefusal, septVeRefusal } from "./policy.ts";
import { parseQuote } from "./quote.ts";

const enclave = parseQuote(makeDcap({ version: 3, kind: "sgx" }).quote).body;
const domain = parseQuote(makeDcap().quote).body;
const filled = (length: number, byte: number) => new Uint8Array(length).fill(byte);

Deno.test("reportDataRefusal() compares 64 bytes, of which the last may be left out where they are zero", () => {
  assert.equal(reportDataRefusal(enclave, filled(64, 0xda)), undefined);
  assert.equal(reportDataRefusal(enclave, filled(63, 0xda))?.code, "report_data_mismatch");
  assert.equal(reportDataRefusal(enclave, new Uint8Array())?.code, "report_data_mismatch");
  const zeroTail = { ...domain, reportData: Uint8Array.from({ length: 64 }, (_, i) => i < 32 ? 1 : 0) };
  assert.equal(reportDataRefusal(zeroTail, filled(32, 1)), undefined);
  assert.equal(reportDataRefusal(zeroTail, filled(33, 1))?.code, "report_data_mismatch");
  assert.throws(() => reportDataRefusal(enclave, new Uint8Array(65)), /at most 64 bytes/);
});

Deno.test("measurementRefusal() compares every digest that the policy names", () => {
  const good: DcapPolicy = {
    mrtd: filled(48, 0x7d),
    rtmr0: filled(48, 0xf0),
    rtmr1: filled(48, 0xf1),
    rtmr2: filled(48, 0xf2),
    rtmr3: filled(48, 0xf3),
    mrseam: filled(48, 0),
    mrconfigid: filled(48, 0),
    mrowner: filled(48, 0),
    mrownerconfig: filled(48, 0),
  };
  assert.equal(measurementRefusal(domain, good), undefined);
  for (const name of Object.keys(good)) {
    const wrong = measurementRefusal(domain, { ...good, [name]: filled(48, 0x99) });
    assert.equal(wrong?.code, "measurement_mismatch", name);
    assert.ok(wrong!.detail.startsWith(name.toUpperCase()), name);
    assert.equal(measurementRefusal(domain, { ...good, [name]: filled(47, 0) })?.code, "measurement_mismatch", name);
  }
  const sgx: DcapPolicy = { mrenclave: filled(32, 0xec), mrsigner: filled(32, 0x51), isvProdId: 9 };
  assert.equal(measurementRefusal(enclave, sgx), undefined);
  for (const wrong of [{ mrenclave: filled(32, 0) }, { mrsigner: filled(32, 0) }, { isvProdId: 8 }]) {
    assert.equal(measurementRefusal(enclave, { ...sgx, ...wrong })?.code, "measurement_mismatch");
  }
});

Deno.test("what is asked of another kind of TEE is refused, not passed over", () => {
  for (const name of ["mrtd", "rtmr0", "rtmr3", "mrseam", "mrconfigid", "mrowner", "mrownerconfig"]) {
    assert.match(measurementRefusal(enclave, { [name]: filled(48, 0) })!.detail, /another kind of TEE/);
  }
  for (const policy of [{ mrenclave: filled(32, 0) }, { mrsigner: filled(32, 0) }, { isvProdId: 0 }]) {
    assert.match(measurementRefusal(domain, policy)!.detail, /another kind of TEE/);
  }
  assert.equal(isvSvnRefusal(domain, 0)?.code, "svn_too_low");
  assert.equal(septVeRefusal(enclave)?.code, "measurement_mismatch");
});

Deno.test("isvSvnRefusal() and septVeRefusal() say what is missing", () => {
  assert.equal(isvSvnRefusal(enclave, 3), undefined);
  assert.deepEqual(isvSvnRefusal(enclave, 4), { code: "svn_too_low", detail: "ISVSVN is 3, less than 4" });
  assert.equal(septVeRefusal(domain), undefined);
  const without = parseQuote(makeDcap({ body: (bytes) => void (bytes[123] = 0) }).quote).body;
  assert.match(septVeRefusal(without)!.detail, /SEPT_VE_DISABLE is not set/);
});
