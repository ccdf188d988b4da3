import { strict as assert } from "node:assert";
import fc from "fast-check";
import { FormatError } from "../../../shared/assert.ts";
import { toHex } from "../../../shared/bytes.ts";
import { teamData, teamTest } from "../../../tests/team_data.ts";
import { endpointCall, FakeContext, moduleOf, textOutcome } from "../fake_context.ts";
import { loadQuickJs, ScriptEngine } from "../runtime.ts";
import { tcbPolicy } from "./tcb_policy.ts";

const engine = new ScriptEngine(await loadQuickJs(), () => 0);

function value(expression: string): string {
  const program = moduleOf(
    `export function f() { try { return { body: ${expression} }; } catch (e) { return { body: String(e) }; } }`,
  );
  return textOutcome(engine.callEndpoint(endpointCall(program, new FakeContext())));
}

Deno.test("ccf.tcbHexToPolicy answers what CCF has written to public:ccf.gov.nodes.snp.tcb_versions", () => {
  // recorded_governance, 2.74: set_snp_minimum_tcb_version_hex
  assert.equal(
    value(`ccf.tcbHexToPolicy("00a00f11", "d315000000000004")`),
    `200 {"hexstring":"d315000000000004","microcode":211,"snp":21,"tee":0,"boot_loader":4}`,
  );
});

Deno.test("tcbPolicy() knows three products, in either case of digits", () => {
  const turin = { hexstring: "5100000004010101", microcode: 0x51, snp: 4, tee: 1, boot_loader: 1, fmc: 1 };
  assert.deepEqual(tcbPolicy("00b00f21", "5100000004010101"), turin);
  assert.deepEqual(tcbPolicy("00B00F21", "5100000004010101"), turin);
  const genoa = { hexstring: "541700000000000a", microcode: 0x54, snp: 0x17, tee: 0, boot_loader: 10 };
  assert.deepEqual(tcbPolicy("00a10f11", "541700000000000A"), genoa);
});

teamTest("tcbPolicy() names the components of real reports as their certificates do", () => {
  const all = JSON.parse(Deno.readTextFileSync(teamData("attestation/vectors/vectors.json")));
  let seen = 0;
  for (const { kind, files, expect } of all.vectors) {
    if (kind !== "snp" || expect?.tcb === undefined || !String(files.report).startsWith("snp/")) continue;
    const report = Deno.readFileSync(teamData(`attestation/vectors/${files.report}`));
    const [family, model, stepping] = report.subarray(0x188, 0x18b);
    if (family === 0) continue; // a report of version 2 does not say
    const eax = ((family! - 0xf) << 20) | ((model! >>> 4) << 16) | 0xf00 | ((model! & 0xf) << 4) | stepping!;
    const tcb = toHex(report.slice(0x180, 0x188).reverse());
    const { hexstring, ...components } = tcbPolicy(eax.toString(16).padStart(8, "0"), tcb);
    assert.equal(hexstring, tcb);
    assert.deepEqual(components, { ...components, ...expect.tcb }, files.report);
    assert.equal(Object.keys(components).length, Object.keys(expect.tcb).length);
    seen++;
  }
  assert.ok(seen >= 6, `${seen} reports`);
});

Deno.test("malformed hex ends the call, and cannot be caught", () => {
  const table: readonly (readonly [given: string, message: string])[] = [
    [`"00a00f1", "d315000000000004"`, "Input string '00a00f1' is not of even length: 7"],
    [`"00a00f", "d315000000000004"`, "Output container of size 4 cannot fit decoded hex str 3"],
    [`"00a00f11", "d3150000000000"`, "Invalid TCB version data size: 7"],
    [`"00a00f11", "d31500000000000"`, "Input string 'd31500000000000' is not of even length: 15"],
    [`"00800f11", "d315000000000004"`, "SEV-SNP: Unsupported CPUID family 23 model 1"],
    [`"00b00f11", "d315000000000004"`, "SEV-SNP: Unsupported CPUID family 26 model 1"],
  ];
  for (const [given, message] of table) assert.equal(value(`ccf.tcbHexToPolicy(${given})`), `500 ${message}`);
  assert.match(value(`ccf.tcbHexToPolicy("00a00fxy", "d315000000000004")`), /^500 .*hex/);
  assert.equal(value(`ccf.tcbHexToPolicy("00a00f11")`), "200 TypeError: Passed 1 arguments, but expected 2");
  assert.equal(value(`ccf.tcbHexToPolicy("00a00f11", Symbol())`), "200 TypeError: cannot convert symbol to string");
  assert.equal(value(`1`), "200 1", "the next call is none the worse");
});

Deno.test("an interpreter that is used again is a new one after what cannot be caught", () => {
  const program = moduleOf(
    `let n = 0; export function f(request) { n++; if (request.params.id === "bad") ccf.tcbHexToPolicy("", ""); return { body: n }; }`,
  );
  const reuse = { key: "k", maxCachedInterpreters: 2 };
  const go = (id: string) => {
    const call = endpointCall(program, new FakeContext(), { reuse });
    return textOutcome(engine.callEndpoint({ ...call, request: { ...call.request, params: { id } } }));
  };
  assert.deepEqual(["1", "1"].map(go), ["200 1", "200 2"]);
  assert.match(go("bad"), /^500 Output container of size 4/);
  assert.equal(go("1"), "200 1");
});

Deno.test("tcbPolicy() answers or refuses, whatever it is given", () => {
  const texts = fc.oneof(fc.string(), fc.stringMatching(/^[0-9a-f]{8}$/), fc.stringMatching(/^[0-9a-f]{16}$/));
  fc.assert(fc.property(texts, texts, (cpuid, tcb) => {
    try {
      assert.equal(tcbPolicy(cpuid, tcb).hexstring, tcb.toLowerCase());
    } catch (error) {
      assert.ok(error instanceof FormatError, String(error));
    }
  }));
});
