/**
 * The small bindings: converters, rpc, consensus, crypto, console, Math.random.
 */

import { strict as assert } from "node:assert";
import fc from "fast-check";
import { toHex } from "../../../shared/bytes.ts";
import { endpointCall, FakeContext, moduleOf, requestOf, textOutcome } from "../fake_context.ts";
import { loadQuickJs, ScriptEngine } from "../runtime.ts";
import { isCertificateBundle } from "./crypto.ts";

const quickJs = await loadQuickJs();
const engine = new ScriptEngine(quickJs, () => 0);

/** What an expression is as JSON, or the message of what it throws. */
function value(expression: string, context = new FakeContext()): string {
  const program = moduleOf(
    `const b = ccf.strToBuf, s = ccf.bufToStr, u8 = (x) => new Uint8Array(x), hex = (x) => Array.from(u8(x), (n) => n.toString(16).padStart(2, "0")).join("");
    export function f(request) { try { return { body: { v: ${expression} } }; } catch (e) { return { body: String(e) }; } }`,
  );
  return textOutcome(engine.callEndpoint(endpointCall(program, context))).slice(4);
}

/** A self-signed certificate, made with OpenSSL 3, and the hash that `openssl x509 -outform der | sha256sum` gives. */
const CERTIFICATE = `-----BEGIN CERTIFICATE-----
MIIBdDCCARugAwIBAgIUGufE1a8zyHDPutzUmLjR1OT9ddgwCgYIKoZIzj0EAwIw
DzENMAsGA1UEAwwEdGVzdDAgFw0yNjExMjQwNzA0MTFaGA8yMTI2MTAzMTA3MDQx
MVowDzENMAsGA1UEAwwEdGVzdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABDaU
BomrwbtglpQy6u9wLBWUfMB04rrqHISwcAZi+48OU9AcVwZ6ko/9LWk9dCzaUNZ7
zsMffr+aSfRHu8kpr+qjUzBRMB0GA1UdDgQWBBTw8VT1B9GOSnuhX2bnO4mxiQDL
5TAfBgNVHSMEGDAWgBTw8VT1B9GOSnuhX2bnO4mxiQDL5TAPBgNVHRMBAf8EBTAD
AQH/MAoGCCqGSM49BAMCA0cAMEQCIHoc7Rh9cPkWwQRRHh/X+O3fkcFheP4kZjDv
iPQBwoQwAiAkLkcPZw2Z1vKGYmNZbc3TvjFiYV0JGoOU1Oa1nMtLkw==
-----END CERTIFICATE-----
`;
const CERTIFICATE_ID = "dcacad9d93a6bcac6efe4be5c183809d26894bfc4cd8a2e8ff72633799dc8077";

Deno.test("conversions answer what js-apps.md §8.1 says", () => {
  const table: readonly (readonly [expression: string, answer: string])[] = [
    [`hex(b("aü€😀"))`, `{"v":"61c3bce282acf09f9880"}`],
    [`hex(b(""))`, `{"v":""}`],
    [`hex(b("a\\0b"))`, `{"v":"610062"}`],
    [`hex(b("\\ud800"))`, `{"v":"eda080"}`],
    [`b()`, "TypeError: Passed 0 arguments, but expected 1"],
    [`b("a", "b")`, "TypeError: Passed 2 arguments, but expected 1"],
    [`b(5)`, "TypeError: Argument must be a string"],
    [`b(new String("a"))`, "TypeError: Argument must be a string"],
    [`s(u8([0x61, 0xc3, 0xbc, 0, 0x62]).buffer)`, `{"v":"aü\\u0000b"}`],
    [`s(u8([0xff, 0x61]).buffer)`, `{"v":"\ufffda"}`],
    [`s(u8([0x61]))`, "TypeError: Argument must be an ArrayBuffer"],
    [`s("a")`, "TypeError: Argument must be an ArrayBuffer"],
    [`s()`, "TypeError: Passed 0 arguments, but expected 1"],
    [`s(ccf.jsonCompatibleToBuf({ a: [1, null, "ü"] }))`, `{"v":"{\\"a\\":[1,null,\\"ü\\"]}"}`],
    [`s(ccf.jsonCompatibleToBuf(null))`, `{"v":"null"}`],
    [`ccf.jsonCompatibleToBuf(undefined)`, "TypeError: Argument must be a string"],
    [`ccf.jsonCompatibleToBuf(() => 1)`, "TypeError: Argument must be a string"],
    [`ccf.jsonCompatibleToBuf({ toJSON() { throw new RangeError("no"); } })`, "RangeError: no"],
    [`ccf.bufToJsonCompatible(b('{"a":[1,2]}'))`, `{"v":{"a":[1,2]}}`],
    [`ccf.bufToJsonCompatible(b("{"))`, "SyntaxError: expecting property name"],
    [`ccf.bufToJsonCompatible(b(""))`, "SyntaxError: unexpected end of input"],
    [`ccf.bufToJsonCompatible("{}")`, "TypeError: Argument must be an ArrayBuffer"],
    [`[ccf.enableUntrustedDateTime(true), ccf.enableUntrustedDateTime(false)]`, `{"v":[true,false]}`],
    [`ccf.enableUntrustedDateTime(1)`, "TypeError: First argument must be a boolean"],
    [
      `[ccf.enableMetricsLogging(false), ccf.enableMetricsLogging(true), ccf.enableMetricsLogging(true)]`,
      `{"v":[true,false,true]}`,
    ],
    [`ccf.enableMetricsLogging()`, "TypeError: Passed 0 arguments, but expected 1"],
    [
      `[ccf.strToBuf.length, ccf.strToBuf.name, ccf.kv.x.set.length, ccf.consensus.getStatusForTxId.length]`,
      `{"v":[1,"strToBuf",2,2]}`,
    ],
  ];
  for (const [expression, answer] of table) assert.equal(value(expression), answer, expression);
});

Deno.test("strToBuf and bufToStr are inverse, for any text", () => {
  const program = moduleOf(
    `export function f(request) { return { body: ccf.bufToStr(ccf.strToBuf(request.body.text())) }; }`,
  );
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      const outcome = engine.callEndpoint(
        endpointCall(program, new FakeContext(), { request: requestOf({ body: text }) }),
      );
      assert.equal(textOutcome(outcome), `200 ${new TextDecoder().decode(new TextEncoder().encode(text))}`);
    }),
    { numRuns: 50 },
  );
});

Deno.test("ccf.rpc decides about the transaction", () => {
  for (
    const [argument, applied] of [["true", true], ["false", false], ["1", true], ["''", false], ["{}", true]] as const
  ) {
    const context = new FakeContext();
    assert.equal(value(`ccf.rpc.setApplyWrites(${argument})`, context), "{}");
    assert.equal(context.applyWrites, applied);
  }
  const context = new FakeContext();
  value(`ccf.rpc.setClaimsDigest(u8(32).fill(7).buffer)`, context);
  assert.equal(toHex(context.claimsDigest!), "07".repeat(32));
  const table: readonly (readonly [expression: string, message: string])[] = [
    [`ccf.rpc.setApplyWrites()`, "TypeError: Passed 0 arguments but expected 1"],
    [`ccf.rpc.setClaimsDigest()`, "TypeError: Passed 0 arguments but expected 1"],
    [`ccf.rpc.setClaimsDigest(u8(32))`, "TypeError: Argument must be an ArrayBuffer"],
    [
      `ccf.rpc.setClaimsDigest(new ArrayBuffer(31))`,
      "TypeError: Argument must be an ArrayBuffer of the right size: 32",
    ],
  ];
  for (const [expression, message] of table) assert.equal(value(expression), message);
});

Deno.test("a force of writes before an exception counts", () => {
  const context = new FakeContext();
  engine.callEndpoint(
    endpointCall(moduleOf(`export function f() { ccf.rpc.setApplyWrites(true); throw 1; }`), context),
  );
  assert.equal(context.applyWrites, true);
});

Deno.test("ccf.consensus answers what the node knows", () => {
  const table: readonly (readonly [expression: string, answer: string])[] = [
    [`ccf.consensus.getLastCommittedTxId()`, `{"v":{"view":2,"seqno":14}}`],
    [`ccf.consensus.getLastCommittedTxId(1)`, "TypeError: Passed 1 arguments, but expected 0"],
    [
      `[ccf.consensus.getStatusForTxId(2, 14), ccf.consensus.getStatusForTxId("2", 15.9)]`,
      `{"v":["Committed","Unknown"]}`,
    ],
    [`ccf.consensus.getStatusForTxId(-1, 1)`, "RangeError: Invalid view or seqno: cannot be negative"],
    [`ccf.consensus.getStatusForTxId(1, -1)`, "RangeError: Invalid view or seqno: cannot be negative"],
    [`ccf.consensus.getStatusForTxId(1)`, "TypeError: Passed 1 arguments, but expected 2"],
    [`ccf.consensus.getStatusForTxId(Symbol(), 1)`, "TypeError: cannot convert symbol to number"],
    [`[ccf.consensus.getViewForSeqno(3), ccf.consensus.getViewForSeqno(1e300)]`, `{"v":[2,null]}`],
    [`ccf.consensus.getViewForSeqno(-3)`, "RangeError: Invalid seqno: cannot be negative"],
    [`ccf.consensus.getViewForSeqno(1n)`, "TypeError: bigint argument with unary +"],
    [`ccf.consensus.getViewForSeqno({ valueOf() { throw new Error("mine"); } })`, "Error: mine"],
  ];
  for (const [expression, answer] of table) assert.equal(value(expression), answer, expression);
});

Deno.test("ccf.crypto digests and makes AES keys", () => {
  const table: readonly (readonly [expression: string, answer: string])[] = [
    // FIPS 180-4, "abc"
    [
      `hex(ccf.crypto.digest("SHA-256", b("abc")))`,
      `{"v":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"}`,
    ],
    [`ccf.crypto.digest("SHA-512", b("abc"))`, "RangeError: unsupported digest algorithm, supported: SHA-256"],
    [`ccf.crypto.digest("SHA-256", "abc")`, "TypeError: not an ArrayBuffer"],
    [`ccf.crypto.digest("SHA-256")`, "TypeError: Passed 1 arguments, but expected 2"],
    [`[128, 192, 256].map((n) => ccf.crypto.generateAesKey(n).byteLength)`, `{"v":[16,24,32]}`],
    [`ccf.crypto.generateAesKey(64)`, "RangeError: invalid key size (not one of 128, 192, 256)"],
    [`ccf.crypto.generateAesKey()`, "TypeError: Passed 0 arguments, but expected 1"],
    [`hex(ccf.crypto.generateAesKey(128)) === hex(ccf.crypto.generateAesKey(128))`, `{"v":false}`],
  ];
  for (const [expression, answer] of table) assert.equal(value(expression), answer, expression);
});

Deno.test("isCertificateBundle() takes certificates one behind the other", () => {
  const good = [
    "",
    CERTIFICATE,
    CERTIFICATE.trimEnd(),
    CERTIFICATE + CERTIFICATE,
    `${CERTIFICATE}text behind the last`,
  ];
  for (const text of [...good, CERTIFICATE.replaceAll("\n", "\r\n")]) {
    assert.equal(isCertificateBundle(text), true, text);
  }
  const bad = ["garbage", "\n", `text before\n${CERTIFICATE}`, `${CERTIFICATE}text between\n${CERTIFICATE}`];
  const broken = [
    CERTIFICATE.replace("MIIB", "MIIC"),
    CERTIFICATE.replace("dDCC", "d"),
    CERTIFICATE.replace(/-----END.*/, ""),
  ];
  const others = [CERTIFICATE.replaceAll("CERTIFICATE", "PUBLIC KEY"), "x".repeat(2_000_000)];
  for (const text of [...bad, ...broken, ...others]) assert.equal(isCertificateBundle(text), false, text.slice(0, 200));
});

Deno.test("certificates have ids, and are told from other text", () => {
  const pem = JSON.stringify(CERTIFICATE);
  assert.equal(value(`ccf.pemToId(${pem})`), `{"v":"${CERTIFICATE_ID}"}`);
  assert.match(value(`ccf.pemToId("no PEM")`), /^InternalError: Failed to parse PEM: /);
  assert.match(value(`ccf.pemToId(5)`), /^InternalError: Failed to parse PEM: /);
  assert.equal(value(`ccf.pemToId()`), "TypeError: Passed 0 arguments, but expected 1");
  assert.equal(
    value(`[${pem}, "", "x", ${pem} + "x", undefined].map((t) => ccf.crypto.isValidX509CertBundle(t))`),
    `{"v":[true,true,false,true,false]}`,
  );
});

Deno.test("console writes lines of the levels that CCF gives them", () => {
  const context = new FakeContext();
  value(
    `[console.log("a", 1, null, undefined, true), console.info({ a: [1] }, [2], new Error("e")), console.warn(), console.error("x\\0y"),
    typeof console.debug]`,
    context,
  );
  assert.deepEqual(context.lines.slice(0, 4), [
    "info app a 1 null undefined true",
    `info app {"a":[1]} [2] Error: e`,
    "fail app ",
    "fatal app x\0y",
  ]);
  assert.equal(value(`console.log(Symbol())`), "TypeError: cannot convert symbol to string");
  assert.equal(value(`console.log({ toJSON() { throw new Error("mine"); } })`), "Error: mine");
});

Deno.test("Math.random draws from the context", () => {
  const zeros = new FakeContext(), ones = new FakeContext();
  zeros.random = (length) => new Uint8Array(length);
  ones.random = (length) => new Uint8Array(length).fill(0xff);
  assert.equal(value(`Math.random()`, zeros), `{"v":0}`);
  assert.equal(value(`[Math.random() < 1, Math.random() > 0.9999999999999]`, ones), `{"v":[true,true]}`);
});

/** The first two of recorded_governance/steps.json, behind "set_constitution at position 0 failed validation: TypeError: ". */
Deno.test("ccf.gov.validateConstitution says what a constitution lacks, in CCF's words", () => {
  const functions = {
    apply: `export function apply(proposal, proposalId) {}`,
    resolve: `export function resolve(proposal, proposerId, votes) {}`,
    validate: `export function validate(input) {}`,
  };
  const text = (changed: Partial<typeof functions> = {}) => Object.values({ ...functions, ...changed }).join("\n");
  const lacks = (name: string, reason: string) =>
    `proposed constitution does not export a function named ${name}: ${reason}`;
  const table: readonly (readonly [text: string, problem: string | undefined])[] = [
    [`export function validate( {`, lacks("apply", "Failed to compile proposed constitution")],
    [
      text({ apply: `export function apply() {}` }),
      "proposed constitution exports function apply with 0 args, expected 2 args (proposal, proposerId)",
    ],
    ["", "constitution is empty"],
    [" ", lacks("apply", "Failed to find export 'apply' in module 'proposed constitution'")],
    [text(), undefined],
    [text({ resolve: `export function resolve(a, b, c, d) {}` }), undefined],
    [text({ resolve: `export const resolve = async (a, b, c) => {};` }), undefined],
    [
      text({ resolve: `export function resolve(a) {}` }),
      "proposed constitution exports function resolve with 1 arg, expected between 3 and 4 args (proposal, proposerId, votes[, proposalId])",
    ],
    [
      text({ resolve: `export function resolve(a, b, c, d, e) {}` }),
      "proposed constitution exports function resolve with 5 args, expected between 3 and 4 args (proposal, proposerId, votes[, proposalId])",
    ],
    [
      text({ validate: `export function validate(a, b, c) {}` }),
      "proposed constitution exports function validate with 3 args, expected 1 arg (input)",
    ],
    [text({ resolve: "" }), lacks("resolve", "Failed to find export 'resolve' in module 'proposed constitution'")],
    [
      text({ validate: `export const validate = 1;` }),
      lacks("validate", "Export 'validate' of module 'proposed constitution' is not a function"),
    ],
    [`import "x";\n${text()}`, lacks("apply", "Failed to compile proposed constitution")],
    [`${text()}\nthrow new Error("at the top");`, undefined],
    [`ccf.kv["public:ccf.gov.members.certs"].size;\n${text()}`, undefined],
    [`if (typeof ccf + typeof console !== "undefinedundefined") for (;;);\n${text()}`, undefined],
    [`new Date(); Math.random();\n${text()}`, undefined],
    [
      `Object.defineProperty(validate, "length", { get() { throw new Error("mine"); } });\n${text()}`,
      lacks("validate", "Error: mine"),
    ],
    [`Object.defineProperty(validate, "length", { value: "1" });\n${text()}`, undefined],
    [`const deep = ${"(".repeat(100_000)};`, lacks("apply", "Failed to compile proposed constitution")],
  ];
  for (const [source, problem] of table) {
    const expected = problem === undefined ? `{"v":true}` : `TypeError: ${problem}`;
    assert.equal(value(`ccf.gov.validateConstitution(${JSON.stringify(source)})`), expected, source.slice(0, 200));
    assert.equal(engine.constitutionProblem(source), problem);
  }
  assert.equal(value(`ccf.gov.validateConstitution()`), "TypeError: Passed 0 arguments, but expected 1");
  for (const other of ["undefined", "null", "5", "new String('x')", "ccf.strToBuf('x')"]) {
    assert.equal(value(`ccf.gov.validateConstitution(${other})`), "TypeError: constitution is not a string");
  }
});

Deno.test("a constitution that does not end takes the time of who looks at it, once", () => {
  let nowMs = 0;
  const timed = new ScriptEngine(quickJs, () => nowMs += 1);
  const looping = `for (;;);`;
  assert.equal(
    timed.constitutionProblem(looping),
    "proposed constitution does not export a function named apply: Operation took too long to complete.",
  );
  const program = moduleOf(
    `export function f() { for (;;) try { ccf.gov.validateConstitution("for (;;);"); } catch {} }`,
  );
  const start = nowMs;
  for (const reuse of [undefined, { key: "k", maxCachedInterpreters: 2 }]) {
    const outcome = timed.callEndpoint(endpointCall(program, new FakeContext(), reuse && { reuse }));
    assert.match(textOutcome(outcome), /^500 Operation took too long to complete\. InternalError: interrupted/);
  }
  assert.ok(nowMs - start < 3 * 5000, `${nowMs - start} ms for two calls of at most five seconds`);
  const atTop = moduleOf(`ccf.gov.validateConstitution("for (;;);"); export function f() { return {}; }`);
  assert.equal(
    textOutcome(timed.callEndpoint(endpointCall(atTop, new FakeContext()))),
    "500 Operation took too long to complete.",
  );
});

Deno.test("a constitution looks at another while it validates, and is what it was afterwards", () => {
  const program = moduleOf(`let n = 0; export function f() {
    n++;
    ccf.gov.validateConstitution("globalThis.Array = 1; export function apply(a, b) {} export function resolve(a, b, c) {} export function validate(a) {}");
    return { body: [n, typeof Array] };
  }`);
  for (let i = 0; i < 2; i++) {
    assert.equal(textOutcome(engine.callEndpoint(endpointCall(program, new FakeContext()))), `200 [1,"function"]`);
  }
});
