/**
 * `ccf.node`, `ccf.network` and their like: what scripts say, and what arrives where effects happen.
 */

import { strict as assert } from "node:assert";
import { FormatError } from "../../../shared/assert.ts";
import type { AppContext, GovernanceEffects } from "../../app_engine.ts";
import { DEFAULT_LIMITS, FakeContext, moduleOf } from "../fake_context.ts";
import { loadQuickJs, ScriptEngine } from "../runtime.ts";

const engine = new ScriptEngine(await loadQuickJs(), () => 0);

/** Writes down its calls, one a line. */
class RecordingEffects implements GovernanceEffects {
  readonly calls: string[] = [];

  #say(name: string, ...given: unknown[]): void {
    this.calls.push([name, ...given.map((value) => JSON.stringify(value) ?? "undefined")].join(" "));
  }

  rekeyLedger = () => this.#say("rekeyLedger");
  openService = (previous: string | undefined, next: string) => this.#say("openService", previous, next);
  refreshRecoveryShares = () => this.#say("refreshRecoveryShares");
  endLedgerChunk = () => this.#say("endLedgerChunk");
  takeSnapshot = () => this.#say("takeSnapshot");
  latestLedgerSecretSeqno = () => 137;
  refreshBytecodeCache = () => this.#say("refreshBytecodeCache");
  setJwtPublicSigningKeys = (...given: unknown[]) => this.#say("setJwtPublicSigningKeys", ...given);
  removeJwtPublicSigningKeys = (issuer: string) => this.#say("removeJwtPublicSigningKeys", issuer);
  endorsedCertificate = (...given: unknown[]) => {
    this.#say("endorsedCertificate", ...given);
    return "node's certificate";
  };
  serviceCertificate = (...given: unknown[]) => {
    this.#say("serviceCertificate", ...given);
    return "service's certificate";
  };
}

function contextOf(effects: GovernanceEffects | "none"): AppContext {
  if (effects === "none") return new FakeContext("read-only governance");
  return Object.assign(new FakeContext("read-write governance"), { effects });
}

/** What an expression is as text, or the message of what it throws and does not catch. */
function valueOf(expression: string, effects: GovernanceEffects | "none" = new RecordingEffects()): string {
  const outcome = engine.run({
    program: moduleOf(`const b = ccf.strToBuf; export function f() { return ${expression}; }`),
    module: "/m.js",
    functionName: "f",
    arguments: [],
    context: contextOf(effects),
    limits: DEFAULT_LIMITS,
  }, "status");
  if (outcome.kind === "returned") return outcome.value;
  return outcome.kind === "threw" ? outcome.exception.message : outcome.message;
}

Deno.test("effects are called with what the script gave", () => {
  const table: readonly (readonly [expression: string, value: string, call: string | undefined])[] = [
    ["ccf.node.triggerLedgerRekey()", "undefined", "rekeyLedger"],
    ["ccf.node.triggerRecoverySharesRefresh()", "undefined", "refreshRecoveryShares"],
    ["ccf.node.triggerLedgerChunk()", "undefined", "endLedgerChunk"],
    ["ccf.node.triggerLedgerChunk(1, 2)", "undefined", "endLedgerChunk"],
    ["ccf.node.triggerSnapshot()", "undefined", "takeSnapshot"],
    ["ccf.node.triggerSnapshot('now')", "undefined", "takeSnapshot"],
    [`ccf.node.transitionServiceToOpen(undefined, b("next"))`, "undefined", `openService undefined "next"`],
    [`ccf.node.transitionServiceToOpen(b("before"), b("next"))`, "undefined", `openService "before" "next"`],
    ["ccf.network.getLatestLedgerSecretSeqno()", "137", undefined],
    [
      `ccf.network.generateEndorsedCertificate("csr", "20261124000000Z", 90)`,
      "node's certificate",
      `endorsedCertificate "csr" "20261124000000Z" 90`,
    ],
    [
      `ccf.network.generateEndorsedCertificate("csr", 2026, "7.9")`,
      "node's certificate",
      `endorsedCertificate "csr" "2026" 7`,
    ],
    [`ccf.network.generateNetworkCertificate("20261124000000Z", 365)`, "service's certificate", undefined],
    [`ccf.network.generateNetworkCertificate("now", undefined)`, "service's certificate", `serviceCertificate "now" 0`],
    ["ccf.refreshAppBytecodeCache()", "undefined", "refreshBytecodeCache"],
    [
      `ccf.setJwtPublicSigningKeys("https://i", { auto_refresh: false }, { keys: [{ kid: "k\\0\\u00fc" }] })`,
      "undefined",
      `setJwtPublicSigningKeys "https://i" {"auto_refresh":false} {"keys":[{"kid":"k\\u0000ü"}]}`,
    ],
    [`ccf.setJwtPublicSigningKeys(5, null, [])`, "undefined", `setJwtPublicSigningKeys "5" null []`],
    [`ccf.removeJwtPublicSigningKeys("https://i")`, "undefined", `removeJwtPublicSigningKeys "https://i"`],
  ];
  for (const [expression, value, call] of table) {
    const effects = new RecordingEffects();
    assert.equal(valueOf(expression, effects), value, expression);
    if (call !== undefined) assert.deepEqual(effects.calls, [call], expression);
  }
});

Deno.test("wrong arguments of effects are refused in CCF's words, and nothing is called", () => {
  const throwing = `{ toString() { throw new Error("mine"); }, toJSON() { throw new Error("mine"); } }`;
  const table: readonly (readonly [expression: string, message: string])[] = [
    ["ccf.node.triggerLedgerRekey(1)", "TypeError: Passed 1 arguments but expected none"],
    ["ccf.node.triggerRecoverySharesRefresh(1, 2)", "TypeError: Passed 2 arguments but expected none"],
    [`ccf.node.transitionServiceToOpen(b("x"))`, "TypeError: Passed 1 arguments but expected two"],
    [
      `ccf.node.transitionServiceToOpen(null, b("x"))`,
      "TypeError: Previous service identity argument is not an array buffer",
    ],
    [
      `ccf.node.transitionServiceToOpen(undefined, "x")`,
      "TypeError: Next service identity argument is not an array buffer",
    ],
    [
      `ccf.node.transitionServiceToOpen(undefined, new Uint8Array(3))`,
      "TypeError: Next service identity argument is not an array buffer",
    ],
    [
      `ccf.node.transitionServiceToOpen(undefined, undefined)`,
      "InternalError: Proposal requires a service identity",
    ],
    ["ccf.network.getLatestLedgerSecretSeqno(1)", "TypeError: Passed 1 arguments but expected none"],
    [`ccf.network.generateEndorsedCertificate("csr", "now")`, "TypeError: Passed 2 arguments but expected 3"],
    [`ccf.network.generateEndorsedCertificate("csr", "now", -1)`, "RangeError: invalid array index"],
    [`ccf.network.generateEndorsedCertificate("csr", ${throwing}, 1)`, "Error: mine"],
    [`ccf.network.generateEndorsedCertificate(Symbol(), "now", 1)`, "TypeError: cannot convert symbol to string"],
    [`ccf.network.generateNetworkCertificate("now")`, "TypeError: Passed 1 arguments but expected 2"],
    [`ccf.network.generateNetworkCertificate("now", Infinity)`, "RangeError: invalid array index"],
    [`ccf.network.generateNetworkCertificate("now", 2 ** 53)`, "RangeError: invalid array index"],
    ["ccf.refreshAppBytecodeCache(1)", "TypeError: Passed 1 arguments but expected none"],
    [`ccf.setJwtPublicSigningKeys("i", {})`, "TypeError: Passed 2 arguments but expected 3"],
    [`ccf.setJwtPublicSigningKeys(${throwing}, {}, {})`, "TypeError: issuer argument is not a string"],
    [`ccf.setJwtPublicSigningKeys("i", ${throwing}, {})`, "TypeError: metadata argument is not a JSON object"],
    [`ccf.setJwtPublicSigningKeys("i", {}, ${throwing})`, "TypeError: jwks argument is not a JSON object"],
    [
      `ccf.setJwtPublicSigningKeys("i", {}, undefined)`,
      "InternalError: Error setting JWT public signing keys: an argument is not JSON",
    ],
    [`ccf.removeJwtPublicSigningKeys()`, "TypeError: Passed 0 arguments but expected 1"],
  ];
  for (const [expression, message] of table) {
    const effects = new RecordingEffects();
    assert.equal(valueOf(expression, effects), message, expression);
    assert.deepEqual(effects.calls, [], expression);
  }
});

Deno.test("what an effect refuses is an exception of the script, which it can catch", () => {
  const effects = new RecordingEffects();
  effects.rekeyLedger = () => {
    throw new FormatError("Could not rekey ledger");
  };
  assert.equal(valueOf("ccf.node.triggerLedgerRekey()", effects), "InternalError: Could not rekey ledger");
  const caught =
    `(() => { try { ccf.node.triggerLedgerRekey(); } catch (e) { return e instanceof InternalError; } })()`;
  assert.equal(valueOf(caught, effects), "true");
});

Deno.test("only a script that applies a proposal sees effects", () => {
  const names = ["node", "network", "refreshAppBytecodeCache", "setJwtPublicSigningKeys", "removeJwtPublicSigningKeys"];
  const seen = `${JSON.stringify(names)}.filter((name) => name in ccf).join()`;
  assert.equal(valueOf(seen), names.join());
  assert.equal(valueOf(seen, "none"), "");
});

Deno.test("governance sees the functions that CCF's constitutions call", () => {
  // What the constitutions of CCF's samples and of recorded services call, of 7.0.
  const called = [
    "ccf.bufToJsonCompatible",
    "ccf.bufToStr",
    "ccf.crypto.digest",
    "ccf.crypto.isValidX509CertBundle",
    "ccf.gov.validateConstitution",
    "ccf.jsonCompatibleToBuf",
    "ccf.pemToId",
    "ccf.strToBuf",
    "ccf.tcbHexToPolicy",
    "console.log",
  ];
  for (const effects of [new RecordingEffects(), "none"] as const) {
    assert.equal(valueOf(`[${called}].map((f) => typeof f).filter((t) => t !== "function").length`, effects), "0");
  }
});

Deno.test("a module that asks for effects at its top level is evaluated in the call", () => {
  const effects = new RecordingEffects();
  const outcome = engine.run({
    program: moduleOf(`ccf.node.triggerSnapshot(); export function f() {}`),
    module: "/m.js",
    functionName: "f",
    arguments: [],
    context: contextOf(effects),
    limits: DEFAULT_LIMITS,
  }, "nothing");
  assert.equal(outcome.kind, "returned");
  assert.deepEqual(effects.calls, ["takeSnapshot"]);
});
