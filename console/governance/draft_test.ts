import { strict as assert } from "node:assert";
import { DEFAULT_CASES } from "../../getting_started/constitution_tests/suite.ts";
import { INTEL_CASES, VIRTUAL_CASES } from "../../getting_started/constitution_tests/trusted_code_cases.ts";
import { ACTION_FORMS, actionForm, emptyAction } from "./action_forms.ts";
import { argumentProblems } from "./argument_checks.ts";
import {
  checkDraft,
  EMPTY_PROPOSAL,
  MAX_PROPOSAL_BYTES,
  readDraft,
  TEMPLATES,
  templateText,
  withAction,
  withActionMoved,
  withArgument,
  withoutAction,
} from "./draft.ts";

const CASES = { ...DEFAULT_CASES, ...INTEL_CASES, ...VIRTUAL_CASES };

function actionsIn(folder: string): { readonly name: string; readonly drops: boolean }[] {
  const url = new URL(`../../getting_started/${folder}/`, import.meta.url);
  const files = [...Deno.readDirSync(url)].filter(({ name }) => name.endsWith(".js"));
  return files.flatMap(({ name }) => {
    const source = Deno.readTextFileSync(new URL(name, url));
    const parts = source.split(/^actions\.set\("/m).slice(1);
    return parts.map((part) => ({ name: part.split('"')[0]!, drops: /^ {4}dropOtherProposals\(/m.test(part) }));
  });
}

Deno.test("There is a form for each action of our constitutions, which says when it drops other proposals", () => {
  const actions = [...actionsIn("constitution"), ...actionsIn("constitution_virtual")];
  const forms = ACTION_FORMS.map(({ name, dropsOthers }) => ({ name, drops: dropsOthers === true }));
  const byName = (a: { name: string }, b: { name: string }) => a.name < b.name ? -1 : 1;
  assert.deepEqual(forms.toSorted(byName), actions.toSorted(byName));
});

Deno.test("argumentProblems() lets pass what the constitution takes", () => {
  for (const form of ACTION_FORMS) {
    const { accepts = [], effects } = CASES[form.name]!;
    // Those cases stand "now" for any time.
    const timed = (args: unknown) =>
      args === undefined ? args : JSON.parse(JSON.stringify(args).replaceAll('"now"', '"2026-01-31T00:00:00Z"'));
    const passing = [...accepts, ...effects.map(({ args }) => args)].map(timed);
    // What a constitution passes over, a member should hear of all the same.
    const problems = (args: unknown) =>
      argumentProblems(form, args).filter(({ message }) => !/^whatever /.test(message));
    assert(passing.some((args) => problems(args).length === 0), form.name);
  }
});

Deno.test("argumentProblems() finds missing, mistyped and unknown arguments", () => {
  const problems = (name: string, args: unknown) => argumentProblems(actionForm(name)!, args);
  const id = "a".repeat(64);
  assert.deepEqual(problems("remove_member", undefined), [{
    field: undefined,
    message: "This action needs arguments",
  }]);
  assert.deepEqual(problems("remove_member", { member_id: id }), []);
  assert.deepEqual(problems("remove_member", { member_id: "ab" }), [
    { field: "member_id", message: "It is not 64 hex digits" },
  ]);
  assert.deepEqual(problems("remove_member", { member_id: id, why: 1 }), [
    { field: undefined, message: "why is no argument of this action that this page knows" },
  ]);
  assert.deepEqual(problems("set_recovery_threshold", { recovery_threshold: 255 }), [
    { field: "recovery_threshold", message: "It is above 254" },
  ]);
  assert.deepEqual(problems("trigger_ledger_rekey", undefined), []);
  assert.deepEqual(problems("set_member", { cert: "-----BEGIN" }).map(({ field }) => field), ["cert"]);
  const policy = { security_policy: "x", host_data: "00" };
  assert.match(problems("add_snp_host_data", policy)[0]!.message, /^It is not the digest of the security policy, 2d71/);
  const bundle = { modules: [], metadata: { endpoints: { "/a": { get: { js_module: "b.js" } } } } };
  assert.match(problems("set_js_app", { bundle })[0]!.message, /^get \/a names a module/);
});

Deno.test("A draft is changed by forms and keeps what they do not know", () => {
  const text = '{"note": 1, "actions": [{"name": "custom", "x": [1], "args": {"a": 1, "b": 2}}]}';
  const changed = withArgument(text, 0, "a", undefined);
  assert.deepEqual(JSON.parse(changed), { note: 1, actions: [{ name: "custom", x: [1], args: { b: 2 } }] });
  const two = withAction(changed, "set_recovery_threshold", { recovery_threshold: 2 });
  assert.deepEqual(readDraft(two), {
    kind: "actions",
    actions: [{ name: "custom", args: { b: 2 } }, { name: "set_recovery_threshold", args: { recovery_threshold: 2 } }],
  });
  const moved = readDraft(withActionMoved(two, 1, -1));
  assert.deepEqual(moved.kind === "actions" && moved.actions.map(({ name }) => name), [
    "set_recovery_threshold",
    "custom",
  ]);
  assert.equal(JSON.parse(withoutAction(two, 0)).actions.length, 1);
});

Deno.test("readDraft() tells what is no JSON from what is no list of actions", () => {
  assert.equal(readDraft("{").kind, "invalid");
  for (const other of ["[]", "null", "{}", '{"actions": [1]}', '{"actions": {}}']) {
    assert.equal(readDraft(other).kind, "other", other);
  }
  assert.deepEqual(readDraft(EMPTY_PROPOSAL), { kind: "actions", actions: [] });
});

Deno.test("checkDraft() says when a proposal is larger than nodes take", () => {
  const large = withAction(EMPTY_PROPOSAL, "set_constitution", { constitution: "x".repeat(MAX_PROPOSAL_BYTES) });
  const { isTooLarge, sizeBytes } = checkDraft(large, readDraft(large));
  assert(isTooLarge && sizeBytes > MAX_PROPOSAL_BYTES);
});

Deno.test("Every template is a list of actions that have forms", () => {
  for (const template of TEMPLATES) {
    const reading = readDraft(templateText(template));
    assert(reading.kind === "actions" && reading.actions.every(({ name }) => actionForm(name) !== undefined));
  }
  assert.deepEqual(emptyAction(actionForm("trigger_ledger_rekey")!), { name: "trigger_ledger_rekey" });
});

Deno.test("no number is proposed that nobody has typed: the least that may be given would be one", () => {
  const action = emptyAction(actionForm("set_recovery_threshold")!);
  assert.deepEqual(action.args, { recovery_threshold: "" });
  const text = withAction(EMPTY_PROPOSAL, "set_recovery_threshold");
  assert.equal(checkDraft(text, readDraft(text)).problems.flat().length, 1);
});
