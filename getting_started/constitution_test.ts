import { strict as assert } from "node:assert";
import { FakeCcf } from "./fake_ccf.ts";
import { constitution, constitutionText } from "./load_constitution.ts";
import app from "./app/app.json" with { type: "json" };

type Action = { name: string; args?: unknown };

// SHA-256 of "alice", "bob" and "carol", which stand here for certificates in DER.
const ALICE = "2bd806c97f0e00af1a1fc3328fa763a9269723c8db8fac4f93af71db186d6e90";
const BOB = "81b637d8fcd2c6da6359e6963113a1170de795e4b725b84d1e0b4cfd9ec58ce9";
const CAROL = "4c26d9074c27d89ede59270c0ac14b71e071b15239519f75474b2f3ba63481f5";
const CERT = "-----BEGIN CERTIFICATE-----\nYWxpY2U=\n-----END CERTIFICATE-----\n";
const PROPOSAL = "77".repeat(32);
/** The key of a table that holds one value, as text. */
const SINGLE = "\0".repeat(8);

const proposalOf = (actions: Action[]) => JSON.stringify({ actions });

/** Validates read-only, as a node does. Out: the first line of what is wrong, or "" if nothing is. */
function validate(ccf: FakeCcf, ...actions: Action[]): string {
  ccf.writable = false;
  const { valid, description } = ccf.run(() => constitution.validate(proposalOf(actions)));
  assert.equal(valid, description === "");
  return description.split("\n")[0]!;
}

function apply(ccf: FakeCcf, ...actions: Action[]): void {
  assert.equal(validate(ccf, ...actions), "");
  ccf.writable = true;
  ccf.run(() => constitution.apply(proposalOf(actions), PROPOSAL));
}

function resolve(ccf: FakeCcf, votes: Record<string, boolean>): string {
  ccf.writable = false;
  const list = Object.entries(votes).map(([member_id, vote]) => ({ member_id, vote }));
  return ccf.run(() => constitution.resolve(proposalOf([]), ALICE, list, PROPOSAL));
}

function put(ccf: FakeCcf, table: string, key: string, value: unknown): void {
  ccf.kv[`public:ccf.${table}`]!.set(ccf.strToBuf(key), ccf.strToBuf(JSON.stringify(value)));
}

/** The rows of a governance table. */
function rows(ccf: FakeCcf, table: string): Record<string, string> {
  return ccf.kv[`public:ccf.gov.${table}`]!.texts();
}

/** A service with some members by status; those of `keyHolders` have an encryption key. */
function service(members: Record<string, string>, keyHolders: string[] = [], threshold = 1, status = "Open"): FakeCcf {
  const ccf = new FakeCcf();
  for (const [id, memberStatus] of Object.entries(members)) {
    put(ccf, "gov.members.info", id, { status: memberStatus });
    put(ccf, "gov.members.certs", id, "certificate");
    put(ccf, "gov.members.acks", id, { state_digest: "" });
  }
  for (const id of keyHolders) put(ccf, "gov.members.encryption_public_keys", id, "key");
  put(ccf, "gov.service.config", SINGLE, { days: 365, recovery_threshold: threshold });
  put(ccf, "gov.service.info", SINGLE, { cert: CERT, status });
  put(ccf, "internal.signatures", SINGLE, { seqno: 9, root: "abcd" });
  return ccf;
}

Deno.test("the constitution exports validate, resolve and apply with the parameters that a node expects", () => {
  const exported = Object.entries(constitution).map(([name, f]) => [name, typeof f, (f as () => void).length]);
  assert.deepEqual(exported.sort(), [["apply", "function", 2], ["resolve", "function", 4], [
    "validate",
    "function",
    1,
  ]]);
});

Deno.test("validate() accepts sensible proposals, with optional arguments absent or null", () => {
  const ccf = service({ [ALICE]: "Active" });
  const good: Action[] = [
    { name: "set_constitution", args: { constitution: constitutionText } },
    { name: "set_member", args: { cert: CERT } },
    { name: "set_member", args: { cert: CERT, encryption_pub_key: null, member_data: null } },
    { name: "set_member", args: { cert: CERT, encryption_pub_key: "key", recovery_role: "Owner", member_data: {} } },
    { name: "remove_member", args: { member_id: ALICE.toUpperCase() } },
    { name: "set_member_data", args: { member_id: BOB, member_data: null } },
    { name: "set_user", args: { cert: CERT, user_data: { roles: ["reader"] }, whatever: 1 } },
    { name: "remove_user", args: { user_id: BOB } },
    { name: "set_user_data", args: { user_id: BOB, user_data: null } },
    { name: "transition_service_to_open", args: { next_service_identity: CERT } },
    { name: "transition_service_to_open", args: { next_service_identity: CERT, previous_service_identity: CERT } },
    { name: "assert_service_identity", args: { service_identity: CERT } },
    { name: "set_recovery_threshold", args: { recovery_threshold: 254 } },
    { name: "set_service_configuration", args: { recent_cose_proposals_window_size: 10000, recovery_threshold: 1 } },
    { name: "trigger_recovery_shares_refresh" },
    { name: "trigger_ledger_rekey", args: null },
    { name: "trigger_ledger_chunk", args: { ignored: true } },
    { name: "trigger_snapshot" },
    { name: "set_js_app", args: { bundle: { metadata: app, modules: [{ name: "log.js", module: "" }] } } },
    { name: "remove_js_app" },
    { name: "set_js_runtime_options", args: { max_heap_bytes: 1, max_stack_bytes: 1, max_execution_time_ms: -1 } },
    { name: "refresh_js_app_bytecode_cache" },
  ];
  for (const action of good) assert.equal(validate(ccf, action), "", JSON.stringify(action).slice(0, 200));
  assert.equal(validate(ccf, ...good), "");
  assert.equal(validate(ccf), "");
});

Deno.test("validate() says what is wrong with the arguments of an action", () => {
  const endpoint = app.endpoints["/log/private/count"].get;
  const bundle = (change: Record<string, unknown>) => ({
    bundle: {
      metadata: { endpoints: { "/x": { get: { ...endpoint, ...change } } } },
      modules: [{ name: "log.js", module: "" }],
    },
  });
  const options = { max_heap_bytes: 1, max_stack_bytes: 1, max_execution_time_ms: 1 };
  const bad: [name: string, args: unknown, message: string][] = [
    ["set_constitution", {}, "constitution must be of type string but is undefined"],
    ["set_constitution", { constitution: "" }, "constitution is empty"],
    ["set_constitution", { constitution: "x" }, "Failed to find export 'validate'"],
    ["set_member", undefined, "cert must be of type string but is undefined"],
    ["set_member", { cert: "text" }, "cert must be an X.509 certificate in PEM format"],
    ["set_member", { cert: CERT, member_data: "x" }, "member_data must be of type object but is string"],
    [
      "set_member",
      { cert: CERT, encryption_pub_key: "k", recovery_role: null },
      "recovery_role must be one of NonParticipant, Participant, Owner",
    ],
    ["set_member", { cert: CERT, recovery_role: "Owner" }, "A recovery_role needs an encryption_pub_key"],
    ["remove_member", { member_id: "ab" }, "member_id must be 64 hexadecimal digits"],
    ["set_member_data", { member_id: BOB }, "member_data must be of type object but is undefined"],
    ["set_user", { cert: CERT, user_data: 7 }, "user_data must be of type object but is number"],
    ["remove_user", { user_id: `${BOB.slice(1)}g` }, "user_id must be 64 hexadecimal digits"],
    ["set_user_data", { user_id: null }, "user_id must be of type string but is object"],
    ["transition_service_to_open", {}, "next_service_identity must be of type string but is undefined"],
    ["assert_service_identity", { service_identity: CERT + "\n" }, "This service has another identity"],
    ["set_recovery_threshold", { recovery_threshold: 0 }, "recovery_threshold must be between 1 and 254"],
    ["set_recovery_threshold", { recovery_threshold: "2" }, "recovery_threshold must be an integer"],
    ["set_service_configuration", { recovery_threshold: null }, "recovery_threshold must be an integer"],
    ["set_service_configuration", { days: 1 }, "Cannot change days of the service configuration"],
    [
      "set_service_configuration",
      { recent_cose_proposals_window_size: 10001 },
      "recent_cose_proposals_window_size must be between 1 and 10000",
    ],
    ["trigger_ledger_rekey", {}, "This action takes no arguments"],
    ["set_js_app", {}, "bundle must be of type object but is undefined"],
    ["set_js_app", { bundle: { modules: {} } }, "bundle.modules must be an array"],
    ["set_js_app", { bundle: { modules: [null] } }, "bundle.modules[0].name must be of type string but is undefined"],
    ["set_js_app", { bundle: { modules: [] } }, "bundle.metadata must be of type object but is undefined"],
    ["set_js_app", bundle({ js_module: "a.js" }), "module 'a.js' not found in bundle"],
    ["set_js_app", bundle({ mode: "write" }), "mode of get /x must be one of readwrite, readonly, historical"],
    ["set_js_app", bundle({ authn_policies: "no_auth" }), "authn_policies of get /x must be an array"],
    ["set_js_app", bundle({ authn_policies: [7] }), "all_of in authn_policies of get /x must be an array"],
    [
      "set_js_app",
      bundle({ redirection_strategy: null }),
      "redirection_strategy of get /x must be one of none, to_primary, to_backup",
    ],
    ["set_js_runtime_options", { ...options, max_heap_bytes: 1.5 }, "max_heap_bytes must be an integer"],
    [
      "set_js_runtime_options",
      { ...options, log_exception_details: 1 },
      "log_exception_details must be of type boolean but is number",
    ],
  ];
  for (const [name, args, message] of bad) {
    const found = validate(service({ [ALICE]: "Active" }), { name, args });
    assert.match(found, new RegExp(`^${name} at position 0 failed validation: (Type)?Error: `));
    assert.equal(found.slice(found.indexOf("Error: ") + 7), message);
  }
});

Deno.test("validate() names the place of each failure, with its stack, and actions it does not know", () => {
  const ccf = service({ [ALICE]: "Active" });
  const actions = [{ name: "trigger_snapshot" }, { name: "no_such_action" }, { name: "remove_user", args: {} }];
  const { valid, description } = ccf.run(() => constitution.validate(proposalOf(actions)));
  assert.equal(valid, false);
  const start = "no_such_action: no such action, " +
    "remove_user at position 2 failed validation: Error: user_id must be of type string but is undefined\n";
  assert.equal(description.slice(0, start.length), start);
  assert.match(description.slice(start.length), /at checkType/);
  assert.equal(validate(ccf, { name: "constructor" }), "constructor: no such action");
});

Deno.test("validate() throws on what is not a proposal, which a node answers with 500", () => {
  const ccf = new FakeCcf();
  for (const text of ["", "{", "null", "{}", '{"actions":7}', '{"actions":{}}', '{"actions":[null]}']) {
    assert.throws(() => ccf.run(() => constitution.validate(text)), Error, text);
  }
});

Deno.test("resolve() accepts when more than half of the active members have voted for", () => {
  const three = { [ALICE]: "Active", [BOB]: "Active", [CAROL]: "Active" };
  assert.equal(resolve(service(three), {}), "Open");
  assert.equal(resolve(service(three), { [ALICE]: true }), "Open");
  assert.equal(resolve(service(three), { [ALICE]: true, [BOB]: true }), "Accepted");
  assert.equal(resolve(service(three), { [ALICE]: true, [BOB]: false, [CAROL]: true }), "Accepted");
  assert.equal(resolve(service(three), { [ALICE]: false, [BOB]: false, [CAROL]: false }), "Open");
  const two = { [ALICE]: "Active", [BOB]: "Active", [CAROL]: "Accepted" };
  assert.equal(resolve(service(two), { [ALICE]: true }), "Open");
  assert.equal(resolve(service(two), { [ALICE]: true, [BOB]: true }), "Accepted");
  assert.equal(resolve(service({ [ALICE]: "Active" }), { [ALICE]: true }), "Accepted");
});

Deno.test("resolve() counts no vote of somebody who is not an active member", () => {
  const ccf = service({ [ALICE]: "Active", [BOB]: "Active", [CAROL]: "Accepted" });
  assert.equal(resolve(ccf, { [ALICE]: true, [CAROL]: true, ["00".repeat(32)]: true }), "Open");
  assert.equal(resolve(service({}), {}), "Open");
});

Deno.test("set_constitution replaces the text and drops the other open proposals", () => {
  const ccf = service({ [ALICE]: "Active" });
  put(ccf, "gov.proposals_info", PROPOSAL, { proposer_id: ALICE, state: "Accepted" });
  put(ccf, "gov.proposals_info", BOB, { proposer_id: ALICE, state: "Open", ballots: {} });
  put(ccf, "gov.proposals_info", CAROL, { proposer_id: ALICE, state: "Withdrawn" });
  apply(ccf, { name: "set_constitution", args: { constitution: constitutionText } });
  assert.deepEqual(rows(ccf, "constitution"), { [SINGLE]: JSON.stringify(constitutionText) });
  assert.deepEqual(rows(ccf, "proposals_info"), {
    [PROPOSAL]: `{"proposer_id":"${ALICE}","state":"Accepted"}`,
    [BOB]: `{"proposer_id":"${ALICE}","state":"Dropped","ballots":{}}`,
    [CAROL]: `{"proposer_id":"${ALICE}","state":"Withdrawn"}`,
  });
});

Deno.test("set_member adds a member who must acknowledge the last signed state before it can vote", () => {
  const ccf = service({});
  const args = { cert: CERT, encryption_pub_key: "key", member_data: { name: "Alice" }, recovery_role: "Owner" };
  apply(ccf, { name: "set_member", args });
  assert.deepEqual(rows(ccf, "members.certs"), { [ALICE]: CERT });
  assert.deepEqual(rows(ccf, "members.encryption_public_keys"), { [ALICE]: "key" });
  assert.deepEqual(rows(ccf, "members.info"), {
    [ALICE]: '{"member_data":{"name":"Alice"},"recovery_role":"Owner","status":"Accepted"}',
  });
  assert.deepEqual(rows(ccf, "members.acks"), { [ALICE]: '{"state_digest":"abcd"}' });

  apply(ccf, { name: "set_member", args: { cert: CERT } });
  assert.deepEqual(rows(ccf, "members.encryption_public_keys"), {});
  assert.deepEqual(rows(ccf, "members.info"), { [ALICE]: '{"status":"Accepted"}' });
});

Deno.test("set_member gives an empty digest to acknowledge where nothing was ever signed", () => {
  const ccf = new FakeCcf();
  apply(ccf, { name: "set_member", args: { cert: CERT } });
  assert.deepEqual(rows(ccf, "members.acks"), { [ALICE]: '{"state_digest":""}' });
});

Deno.test("remove_member leaves nothing of the member, and rekeys the ledger if it held a share", () => {
  const members = { [ALICE]: "Active", [BOB]: "Active", [CAROL]: "Accepted" };
  const ccf = service(members, [ALICE, BOB, CAROL]);
  apply(ccf, { name: "remove_member", args: { member_id: ALICE } });
  for (const table of ["info", "certs", "acks", "encryption_public_keys"]) {
    assert.deepEqual(Object.keys(rows(ccf, `members.${table}`)), [BOB, CAROL], table);
  }
  assert.deepEqual(ccf.calls, [["triggerLedgerRekey"]]);

  apply(ccf, { name: "remove_member", args: { member_id: CAROL } }, {
    name: "remove_member",
    args: { member_id: ALICE },
  });
  assert.deepEqual(Object.keys(rows(ccf, "members.info")), [BOB]);
  assert.deepEqual(ccf.calls, [["triggerLedgerRekey"]]);
});

Deno.test("remove_member refuses to leave too few members to recover the service", () => {
  const ccf = service({ [ALICE]: "Active", [BOB]: "Active", [CAROL]: "Active" }, [ALICE, BOB], 2);
  assert.throws(() => apply(ccf, { name: "remove_member", args: { member_id: ALICE } }), {
    message: `Cannot remove member ${ALICE}: 1 members with an encryption key would remain, and recovery takes 2`,
  });
  apply(ccf, { name: "remove_member", args: { member_id: CAROL } });
  assert.deepEqual(ccf.calls, []);
});

Deno.test("set_member_data replaces what is noted about a member and keeps its status", () => {
  const ccf = service({ [ALICE]: "Active" });
  apply(ccf, { name: "set_member_data", args: { member_id: ALICE, member_data: [1] } });
  assert.deepEqual(rows(ccf, "members.info"), { [ALICE]: '{"status":"Active","member_data":[1]}' });
  assert.throws(() => apply(ccf, { name: "set_member_data", args: { member_id: BOB, member_data: {} } }), {
    message: `Member ${BOB} does not exist`,
  });
});

Deno.test("set_user, set_user_data and remove_user change who may use the app and what it sees of them", () => {
  const ccf = service({});
  apply(ccf, { name: "set_user", args: { cert: CERT, user_data: { isAdmin: true } } });
  assert.deepEqual(rows(ccf, "users.certs"), { [ALICE]: CERT });
  assert.deepEqual(rows(ccf, "users.info"), { [ALICE]: '{"user_data":{"isAdmin":true}}' });
  apply(ccf, { name: "set_user_data", args: { user_id: ALICE } });
  assert.deepEqual(rows(ccf, "users.info"), {});
  apply(ccf, { name: "set_user_data", args: { user_id: ALICE, user_data: [] } });
  assert.deepEqual(rows(ccf, "users.info"), { [ALICE]: '{"user_data":[]}' });
  apply(ccf, { name: "set_user", args: { cert: CERT } });
  assert.deepEqual(rows(ccf, "users.info"), {});
  apply(ccf, { name: "remove_user", args: { user_id: ALICE } }, { name: "remove_user", args: { user_id: BOB } });
  assert.deepEqual(rows(ccf, "users.certs"), {});
});

Deno.test("transition_service_to_open hands the identities on, and wants both of a recovering service", () => {
  const open = (args: unknown) => ({ name: "transition_service_to_open", args });
  const opening = service({}, [], 1, "Opening");
  apply(opening, open({ next_service_identity: CERT }));
  assert.deepEqual(opening.calls, [["transitionServiceToOpen", undefined, CERT]]);

  const recovering = service({}, [], 1, "Recovering");
  assert.throws(() => apply(recovering, open({ next_service_identity: CERT })), {
    message: "Cannot open a recovering service without its previous_service_identity",
  });
  const old = CERT + "old";
  apply(recovering, open({ next_service_identity: CERT, previous_service_identity: old }));
  assert.deepEqual(recovering.calls, [["transitionServiceToOpen", old, CERT]]);
});

Deno.test("set_recovery_threshold needs enough members with a key, and issues new shares if it changes", () => {
  const set = (threshold: number) => ({ name: "set_recovery_threshold", args: { recovery_threshold: threshold } });
  const ccf = service({ [ALICE]: "Active", [BOB]: "Active", [CAROL]: "Accepted" }, [ALICE, BOB, CAROL]);
  apply(ccf, set(1));
  assert.deepEqual(ccf.calls, []);
  apply(ccf, set(2));
  assert.deepEqual(ccf.calls, [["triggerRecoverySharesRefresh"]]);
  assert.deepEqual(rows(ccf, "service.config"), { [SINGLE]: '{"days":365,"recovery_threshold":2}' });
  assert.throws(() => apply(ccf, set(3)), {
    message: "Cannot set the recovery threshold to 3: only 2 active members hold an encryption key",
  });
  apply(service({}, [], 1, "Opening"), set(3));
  assert.throws(() => apply(service({}, [], 1, "WaitingForRecoveryShares"), set(3)), {
    message: "Cannot change the recovery threshold during a recovery",
  });
});

Deno.test("set_service_configuration changes the settings it names", () => {
  const ccf = service({});
  const change = (args: unknown) => apply(ccf, { name: "set_service_configuration", args });
  change({ recent_cose_proposals_window_size: 20, reconfiguration_type: "TwoTransaction" });
  assert.deepEqual(rows(ccf, "service.config"), {
    [SINGLE]: '{"days":365,"recovery_threshold":1,"reconfiguration_type":"TwoTransaction",' +
      '"recent_cose_proposals_window_size":20}',
  });
  assert.throws(() => change({ reconfiguration_type: "OneTransaction" }), {
    message: "Cannot change the reconfiguration type from TwoTransaction to OneTransaction",
  });
  assert.deepEqual(ccf.calls, []);
});

Deno.test("set_js_app replaces modules and endpoints, and remove_js_app leaves none", () => {
  const ccf = service({});
  put(ccf, "gov.modules", "/old.js", "old");
  put(ccf, "gov.endpoints", "GET /old", {});
  put(ccf, "gov.modules_quickjs_bytecode", "/old.js", "old");
  const endpoint = {
    mode: "readonly",
    js_module: "log.js",
    js_function: "f",
    forwarding_required: "never",
    authn_policies: [{ all_of: ["user_cert", "jwt"] }],
    extra: [null],
  };
  const bundle = {
    metadata: { endpoints: { "/a": { get: endpoint, Put: { ...endpoint, js_module: "a/b.js" } } } },
    modules: [{ name: "log.js", module: "export const f = 1;" }, { name: "a/b.js", module: "" }],
  };
  apply(ccf, { name: "set_js_app", args: { bundle } });
  assert.deepEqual(rows(ccf, "modules"), { "/log.js": "export const f = 1;", "/a/b.js": "" });
  assert.deepEqual(rows(ccf, "endpoints"), {
    "GET /a": JSON.stringify({ ...endpoint, js_module: "/log.js" }),
    "PUT /a": JSON.stringify({ ...endpoint, js_module: "/a/b.js" }),
  });
  assert.deepEqual(rows(ccf, "interpreter.flush"), { [SINGLE]: "true" });
  assert.deepEqual(ccf.calls, [["refreshAppBytecodeCache"]]);

  apply(ccf, { name: "set_js_app", args: { bundle, disable_bytecode_cache: true } });
  assert.deepEqual(rows(ccf, "modules_quickjs_bytecode"), {});
  assert.deepEqual(ccf.calls, [["refreshAppBytecodeCache"]]);

  apply(ccf, { name: "remove_js_app" });
  for (const table of ["modules", "endpoints", "interpreter.flush"]) assert.deepEqual(rows(ccf, table), {}, table);
});

Deno.test("set_js_runtime_options stores what was proposed, unknown members too", () => {
  const ccf = service({});
  const args = { max_heap_bytes: 1, max_stack_bytes: 2, max_execution_time_ms: 3, later: "x" };
  apply(ccf, { name: "set_js_runtime_options", args });
  assert.deepEqual(rows(ccf, "js_runtime_options"), { [SINGLE]: JSON.stringify(args) });
});

Deno.test("the triggers ask the node for what they say, in the order proposed", () => {
  const ccf = service({});
  const names = ["trigger_snapshot", "trigger_ledger_chunk", "trigger_ledger_rekey", "trigger_recovery_shares_refresh"];
  apply(ccf, ...names.map((name) => ({ name })), { name: "refresh_js_app_bytecode_cache" });
  assert.deepEqual(ccf.calls, [
    ["triggerSnapshot"],
    ["triggerLedgerChunk"],
    ["triggerLedgerRekey"],
    ["triggerRecoverySharesRefresh"],
    ["refreshAppBytecodeCache"],
  ]);
});
