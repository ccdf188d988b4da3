/**
 * What members can propose.
 *
 * A proposal is a list of actions, each with a name and arguments. It is read three times: when it is made, `check`
 * says whether the arguments make sense; when votes arrive, `resolve` counts them; once it is accepted, `perform` does
 * what was proposed, all actions in one transaction, or none if one of them fails.
 *
 * This file is one of the constitution's four and the one to change: an action that is not listed here cannot be
 * proposed. The comment above each action says what it changes and for whom.
 *
 * What an action changes stands in tables that anybody who has the ledger can read (governance.md §1). Outside of
 * functions nothing here touches `ccf`, so that a node may read this text once and keep what it made of it.
 */

// Words for arguments and tables -----------------------------------------------------------------------------------

/** Stands for the arguments of an action that came without any. */
const NO_ARGUMENTS = Object.freeze({});

function must(condition, message) {
  if (!condition) throw new Error(message);
}

function isAbsent(value) {
  return value === undefined || value === null;
}

function checkType(type, value, name) {
  const actual = typeof value;
  must(actual === type, `${name} must be of type ${type} but is ${actual}`);
}

function checkOptional(type, value, name) {
  if (!isAbsent(value)) checkType(type, value, name);
}

function checkInteger(value, name) {
  must(Number.isInteger(value), `${name} must be an integer`);
}

function checkBetween(lowest, highest, value, name) {
  checkInteger(value, name);
  must(value >= lowest && value <= highest, `${name} must be between ${lowest} and ${highest}`);
}

function checkOneOf(choices, value, name) {
  must(choices.includes(value), `${name} must be one of ${choices.join(", ")}`);
}

function checkArray(value, name) {
  must(Array.isArray(value), `${name} must be an array`);
}

/** Members, users and nodes are named by the hex digits of a SHA-256 hash. */
function checkId(value, name) {
  checkType("string", value, name);
  must(/^[0-9a-fA-F]{64}$/.test(value), `${name} must be 64 hexadecimal digits`);
}

function checkCertificate(value, name) {
  checkType("string", value, name);
  must(ccf.crypto.isValidX509CertBundle(value), `${name} must be an X.509 certificate in PEM format`);
}

function checkNoArguments(args) {
  must(args === NO_ARGUMENTS, "This action takes no arguments");
}

function anyArguments() {}

/** A table with text keys whose values are text. */
function textTable(name) {
  return table(name, ccf.strToBuf, ccf.bufToStr);
}

/** A table with text keys whose values are JSON. */
function jsonTable(name) {
  return table(name, ccf.jsonCompatibleToBuf, ccf.bufToJsonCompatible);
}

function table(name, toBytes, fromBytes) {
  const raw = ccf.kv[name];
  return {
    has: (key) => raw.has(ccf.strToBuf(key)),
    get: (key) => {
      const value = raw.get(ccf.strToBuf(key));
      return value === undefined ? undefined : fromBytes(value);
    },
    set: (key, value) => raw.set(ccf.strToBuf(key), toBytes(value)),
    delete: (key) => raw.delete(ccf.strToBuf(key)),
    clear: () => raw.clear(),
    entries: () => {
      const all = [];
      raw.forEach((value, key) => all.push([ccf.bufToStr(key), fromBytes(value)]));
      return all;
    },
  };
}

/** The one JSON value of a table that holds no more than one. Its key is eight zero bytes. */
function single(name) {
  const raw = ccf.kv[name];
  return {
    get: () => {
      const value = raw.get(new ArrayBuffer(8));
      return value === undefined ? undefined : ccf.bufToJsonCompatible(value);
    },
    mustGet: () => {
      const value = raw.get(new ArrayBuffer(8));
      must(value !== undefined, `${name} must have been written when the service started`);
      return ccf.bufToJsonCompatible(value);
    },
    set: (value) => raw.set(new ArrayBuffer(8), ccf.jsonCompatibleToBuf(value)),
    clear: () => raw.clear(),
  };
}

const constitution = () => single("public:ccf.gov.constitution");
const memberCerts = () => textTable("public:ccf.gov.members.certs");
const memberKeys = () => textTable("public:ccf.gov.members.encryption_public_keys");
const memberInfo = () => jsonTable("public:ccf.gov.members.info");
const memberAcks = () => jsonTable("public:ccf.gov.members.acks");
const memberHistory = () => textTable("public:ccf.gov.history");
const userCerts = () => textTable("public:ccf.gov.users.certs");
const userInfo = () => jsonTable("public:ccf.gov.users.info");
const serviceInfo = () => single("public:ccf.gov.service.info");
const serviceConfiguration = () => single("public:ccf.gov.service.config");
const proposalsInfo = () => jsonTable("public:ccf.gov.proposals_info");
const lastSignature = () => single("public:ccf.internal.signatures");
const modules = () => textTable("public:ccf.gov.modules");
const endpoints = () => jsonTable("public:ccf.gov.endpoints");
const bytecode = () => textTable("public:ccf.gov.modules_quickjs_bytecode");
const bytecodeVersion = () => textTable("public:ccf.gov.modules_quickjs_version");
const interpreterFlush = () => single("public:ccf.gov.interpreter.flush");
const jsRuntimeOptions = () => single("public:ccf.gov.js_runtime_options");

/** Active members who hold an encryption key, that is, who can help to recover the service. */
function activeKeyHolders() {
  const info = memberInfo();
  return memberKeys().entries().filter(([memberId]) => info.get(memberId)?.status === "Active").length;
}

/**
 * Ends every other open proposal as Dropped. Actions that change what an open proposal would mean do this: members
 * voted for that proposal under the old rules, and must be asked again under the new ones.
 */
function dropOtherProposals(proposalId) {
  const proposals = proposalsInfo();
  for (const [id, info] of proposals.entries()) {
    if (id !== proposalId && info.state === "Open") proposals.set(id, { ...info, state: "Dropped" });
  }
}

function setUserData(userId, userData) {
  if (isAbsent(userData)) userInfo().delete(userId);
  else userInfo().set(userId, { user_data: userData });
}

/** Changes some settings of the service and leaves the others as they are. */
function configureService(changes) {
  const configuration = serviceConfiguration().mustGet();
  const { reconfiguration_type: type, recovery_threshold: threshold } = changes;
  const typeBefore = configuration.reconfiguration_type;
  const thresholdBefore = configuration.recovery_threshold;

  const typeChanges = type !== undefined && type !== typeBefore;
  const knownChange = [undefined, "OneTransaction"].includes(typeBefore) && type === "TwoTransaction";
  must(!typeChanges || knownChange, `Cannot change the reconfiguration type from ${typeBefore} to ${type}`);

  const thresholdChanges = threshold !== undefined && threshold !== thresholdBefore;
  if (thresholdChanges) checkNewThreshold(threshold);

  for (const name of SERVICE_SETTINGS) {
    if (changes[name] !== undefined) configuration[name] = changes[name];
  }
  serviceConfiguration().set(configuration);
  // The shares that members hold fit the old threshold only.
  if (thresholdChanges) ccf.node.triggerRecoverySharesRefresh();
}

const SERVICE_SETTINGS = ["reconfiguration_type", "recovery_threshold", "recent_cose_proposals_window_size"];

function checkNewThreshold(threshold) {
  const { status } = serviceInfo().mustGet();
  must(status !== "WaitingForRecoveryShares", "Cannot change the recovery threshold during a recovery");
  if (status !== "Open") return;
  const holders = activeKeyHolders();
  must(
    threshold <= holders,
    `Cannot set the recovery threshold to ${threshold}: only ${holders} active members hold an encryption key`,
  );
}

// The actions ------------------------------------------------------------------------------------------------------

const actions = new Map();

// The constitution.

/**
 * Replaces these rules by others, for everybody, from the next proposal on. Whoever votes for this should read all of
 * the new text: it decides what can be proposed afterwards and whose votes count. Other open proposals are dropped.
 */
actions.set("set_constitution", {
  check(args) {
    checkType("string", args.constitution, "constitution");
    ccf.gov.validateConstitution(args.constitution);
  },
  perform(args, proposalId) {
    constitution().set(args.constitution);
    dropOtherProposals(proposalId);
  },
});

// Members.

/**
 * Adds a member, or replaces what is known of one. The member can vote once it has acknowledged the state of the
 * service with its own key, so also a member that was active must acknowledge again. A member with an encryption key
 * receives a share of what is needed to recover the service; as an "Owner" it receives the whole.
 */
actions.set("set_member", {
  check(args) {
    checkCertificate(args.cert, "cert");
    checkOptional("string", args.encryption_pub_key, "encryption_pub_key");
    checkOptional("object", args.member_data, "member_data");
    if (args.recovery_role === undefined) return;
    checkOneOf(["NonParticipant", "Participant", "Owner"], args.recovery_role, "recovery_role");
    must(!isAbsent(args.encryption_pub_key), "A recovery_role needs an encryption_pub_key");
  },
  perform(args) {
    const memberId = ccf.pemToId(args.cert);
    memberCerts().set(memberId, args.cert);
    if (isAbsent(args.encryption_pub_key)) memberKeys().delete(memberId);
    else memberKeys().set(memberId, args.encryption_pub_key);
    const { member_data, recovery_role } = args;
    memberInfo().set(memberId, { member_data, recovery_role, status: "Accepted" });
    // What the member must sign to become active: the root of the ledger as it was last signed.
    memberAcks().set(memberId, { state_digest: lastSignature().get()?.root ?? "" });
  },
});

/**
 * Removes a member: it can no longer vote. Refused if too few members would remain to recover the service. If the
 * member held a share, the ledger gets a new key, so that the share opens nothing that is written from now on.
 */
actions.set("remove_member", {
  check(args) {
    checkId(args.member_id, "member_id");
  },
  perform(args) {
    const memberId = args.member_id;
    const info = memberInfo().get(memberId);
    if (info === undefined) return; // Already gone.
    const heldShare = info.status === "Active" && memberKeys().has(memberId);
    if (heldShare) {
      const remaining = activeKeyHolders() - 1;
      const threshold = serviceConfiguration().mustGet().recovery_threshold;
      must(
        remaining >= threshold,
        `Cannot remove member ${memberId}: ${remaining} members with an encryption key would remain, ` +
          `and recovery takes ${threshold}`,
      );
    }
    for (const each of [memberInfo(), memberKeys(), memberCerts(), memberAcks(), memberHistory()]) {
      each.delete(memberId);
    }
    if (heldShare) ccf.node.triggerLedgerRekey();
  },
});

/** Replaces what is noted about a member, e.g. its name or organisation. Its rights stay as they are. */
actions.set("set_member_data", {
  check(args) {
    checkId(args.member_id, "member_id");
    checkType("object", args.member_data, "member_data");
  },
  perform(args) {
    const info = memberInfo().get(args.member_id);
    must(info !== undefined, `Member ${args.member_id} does not exist`);
    memberInfo().set(args.member_id, { ...info, member_data: args.member_data });
  },
});

// Users.

/** Lets somebody with this certificate use the app. The app sees `user_data` and may grant rights by it. */
actions.set("set_user", {
  check(args) {
    checkCertificate(args.cert, "cert");
    checkOptional("object", args.user_data, "user_data");
  },
  perform(args) {
    const userId = ccf.pemToId(args.cert);
    userCerts().set(userId, args.cert);
    setUserData(userId, args.user_data);
  },
});

/** Takes a user's access to the app away. What the user wrote stays. */
actions.set("remove_user", {
  check(args) {
    checkId(args.user_id, "user_id");
  },
  perform(args) {
    userCerts().delete(args.user_id);
    userInfo().delete(args.user_id);
  },
});

/** Replaces what the app is told about a user, or removes it where no `user_data` is given. */
actions.set("set_user_data", {
  check(args) {
    checkId(args.user_id, "user_id");
    checkOptional("object", args.user_data, "user_data");
  },
  perform(args) {
    setUserData(args.user_id, args.user_data);
  },
});

// The service.

/**
 * Opens the service to its users. After a disaster recovery the members thereby agree that this service, with its new
 * identity, continues the previous one, and are then asked for their shares.
 */
actions.set("transition_service_to_open", {
  check(args) {
    checkCertificate(args.next_service_identity, "next_service_identity");
    if (!isAbsent(args.previous_service_identity)) {
      checkCertificate(args.previous_service_identity, "previous_service_identity");
    }
  },
  perform(args) {
    const { previous_service_identity: previous, next_service_identity: next } = args;
    must(
      serviceInfo().mustGet().status !== "Recovering" || !isAbsent(previous),
      "Cannot open a recovering service without its previous_service_identity",
    );
    ccf.node.transitionServiceToOpen(isAbsent(previous) ? undefined : ccf.strToBuf(previous), ccf.strToBuf(next));
  },
});

/**
 * Changes nothing, and cannot be proposed to any service but the one that is named. Put it before other actions to be
 * sure that they reach the service they were meant for.
 */
actions.set("assert_service_identity", {
  check(args) {
    checkCertificate(args.service_identity, "service_identity");
    must(serviceInfo().mustGet().cert === args.service_identity, "This service has another identity");
  },
  perform() {},
});

/** Changes how many members must come together to recover the service. Every member receives a new share. */
actions.set("set_recovery_threshold", {
  check(args) {
    checkBetween(1, 254, args.recovery_threshold, "recovery_threshold");
  },
  perform(args) {
    configureService({ recovery_threshold: args.recovery_threshold });
  },
});

/** Changes settings of the service: as above, and how many recent proposals are remembered to recognise a copy. */
actions.set("set_service_configuration", {
  check(args) {
    for (const name of Object.keys(args)) {
      must(SERVICE_SETTINGS.includes(name), `Cannot change ${name} of the service configuration`);
    }
    const { reconfiguration_type, recovery_threshold, recent_cose_proposals_window_size } = args;
    if (reconfiguration_type !== undefined) checkType("string", reconfiguration_type, "reconfiguration_type");
    if (recovery_threshold !== undefined) checkBetween(1, 254, recovery_threshold, "recovery_threshold");
    if (recent_cose_proposals_window_size !== undefined) {
      checkBetween(1, 10000, recent_cose_proposals_window_size, "recent_cose_proposals_window_size");
    }
  },
  perform(args) {
    configureService(args);
  },
});

/** Gives every member a new share in place of the old one, which becomes useless. */
actions.set("trigger_recovery_shares_refresh", {
  check: checkNoArguments,
  perform() {
    ccf.node.triggerRecoverySharesRefresh();
  },
});

/** Gives the ledger a new key from the next transaction on. What was written before stays under the old key. */
actions.set("trigger_ledger_rekey", {
  check: checkNoArguments,
  perform() {
    ccf.node.triggerLedgerRekey();
  },
});

/** Ends the current ledger file at the next signature. For operators; members and users see no difference. */
actions.set("trigger_ledger_chunk", {
  check: anyArguments,
  perform() {
    ccf.node.triggerLedgerChunk();
  },
});

/** Writes a snapshot at the next signature. For operators; members and users see no difference. */
actions.set("trigger_snapshot", {
  check: anyArguments,
  perform() {
    ccf.node.triggerSnapshot();
  },
});

// The app.

/**
 * Replaces the app that users use. What users stored stays, and from now on this code, which every member can read in
 * the proposal, decides who may read and change it.
 */
actions.set("set_js_app", {
  check(args) {
    checkType("object", args.bundle, "bundle");
    checkOptional("boolean", args.disable_bytecode_cache, "disable_bytecode_cache");
    const { modules, metadata } = args.bundle;
    checkArray(modules, "bundle.modules");
    for (const [index, module] of modules.entries()) {
      checkType("string", module?.name, `bundle.modules[${index}].name`);
      checkType("string", module?.module, `bundle.modules[${index}].module`);
    }
    checkType("object", metadata, "bundle.metadata");
    checkType("object", metadata?.endpoints, "bundle.metadata.endpoints");
    const names = new Set(modules.map((module) => module.name));
    for (const [path, verbs] of Object.entries(metadata.endpoints)) {
      checkType("object", verbs, `The endpoints of ${path}`);
      for (const [verb, endpoint] of Object.entries(verbs)) checkEndpoint(endpoint, `${verb} ${path}`, names);
    }
  },
  perform(args) {
    const { modules: sources, metadata } = args.bundle;
    modules().clear();
    endpoints().clear();
    for (const { name, module } of sources) modules().set(`/${name}`, module);
    if (args.disable_bytecode_cache) {
      bytecode().clear();
      bytecodeVersion().clear();
    } else {
      ccf.refreshAppBytecodeCache();
    }
    interpreterFlush().set(true);
    for (const [path, verbs] of Object.entries(metadata.endpoints)) {
      for (const [verb, endpoint] of Object.entries(verbs)) {
        endpoints().set(`${verb.toUpperCase()} ${path}`, { ...endpoint, js_module: `/${endpoint.js_module}` });
      }
    }
  },
});

function checkEndpoint(endpoint, where, moduleNames) {
  checkType("object", endpoint, where);
  checkType("string", endpoint?.js_module, `js_module of ${where}`);
  checkType("string", endpoint.js_function, `js_function of ${where}`);
  must(moduleNames.has(endpoint.js_module), `module '${endpoint.js_module}' not found in bundle`);
  checkOneOf(["readwrite", "readonly", "historical"], endpoint.mode, `mode of ${where}`);
  checkOneOf(["sometimes", "always", "never"], endpoint.forwarding_required, `forwarding_required of ${where}`);
  if (endpoint.redirection_strategy !== undefined) {
    checkOneOf(["none", "to_primary", "to_backup"], endpoint.redirection_strategy, `redirection_strategy of ${where}`);
  }
  checkArray(endpoint.authn_policies, `authn_policies of ${where}`);
  // One policy must hold; in {"all_of": […]} every one. Whether a policy exists turns out when the endpoint is called.
  for (const policy of endpoint.authn_policies) {
    if (typeof policy === "string") continue;
    checkArray(policy?.all_of, `all_of in authn_policies of ${where}`);
    for (const name of policy.all_of) checkType("string", name, `A policy in all_of of ${where}`);
  }
  checkOptional("object", endpoint.openapi, `openapi of ${where}`);
  checkOptional("boolean", endpoint.openapi_hidden, `openapi_hidden of ${where}`);
}

/** Takes the app away: users can call nothing until another is set. What they stored stays. */
actions.set("remove_js_app", {
  check: anyArguments,
  perform() {
    for (const each of [modules(), bytecode(), bytecodeVersion(), interpreterFlush(), endpoints()]) each.clear();
  },
});

/** Changes how much memory and time one call of the app may take, and whether its errors are shown to callers. */
actions.set("set_js_runtime_options", {
  check(args) {
    checkInteger(args.max_heap_bytes, "max_heap_bytes");
    checkInteger(args.max_stack_bytes, "max_stack_bytes");
    checkInteger(args.max_execution_time_ms, "max_execution_time_ms");
    checkOptional("boolean", args.log_exception_details, "log_exception_details");
    checkOptional("boolean", args.return_exception_details, "return_exception_details");
    if (!isAbsent(args.max_cached_interpreters)) checkInteger(args.max_cached_interpreters, "max_cached_interpreters");
  },
  perform(args) {
    jsRuntimeOptions().set(args);
  },
});

/** Compiles the app again for the nodes' present version. The app itself stays as it is. */
actions.set("refresh_js_app_bytecode_cache", {
  check: anyArguments,
  perform() {
    ccf.refreshAppBytecodeCache();
  },
});
