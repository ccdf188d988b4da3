/**
 * What members can propose: the words in which the actions are written. The actions themselves are in the files beside
 * this one, by theme: `app.js`, `members.js`, `nodes.js`, `service.js`, `tokens.js`, `trusted_code.js`.
 *
 * A proposal is a list of actions, each with a name and arguments. It is read three times: when it is made, `check`
 * says whether the arguments make sense; when votes arrive, `resolve` counts them; once it is accepted, `perform` does
 * what was proposed, all actions in one transaction, or none if one of them fails.
 *
 * An action that stands in none of these files cannot be proposed. The comment above each says what it changes for whom;
 * what it changes stands in tables that anybody who has the ledger can read (governance.md §1).
 *
 * A node reads all files as one text: this one, `validate.js`, `resolve.js`, `apply.js`, then the others by name.
 * Outside of functions nothing touches `ccf`, so that a node may read the text once and keep what it made of it.
 */

// deno-lint-ignore-file no-unused-vars -- the files beside this one use these words

/** Every action by its name: how its arguments are checked, and what it does. */
const actions = new Map();

// Words for arguments ----------------------------------------------------------------------------------------------

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

/** The days from which on a certificate is valid, as text, and for how many. */
function checkValidity(args) {
  checkType("string", args.valid_from, "valid_from");
  if (args.validity_period_days === undefined) return;
  checkInteger(args.validity_period_days, "validity_period_days");
  must(args.validity_period_days >= 1, "validity_period_days must be at least 1");
}

function checkArguments(args) {
  must(args !== NO_ARGUMENTS, "This action needs arguments, if only empty ones");
}

function checkNoArguments(args) {
  must(args === NO_ARGUMENTS, "This action takes no arguments");
}

function anyArguments() {}

// Words for tables -------------------------------------------------------------------------------------------------

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
    size: () => raw.size,
    entries: () => {
      const all = [];
      raw.forEach((value, key) => all.push([ccf.bufToStr(key), fromBytes(value)]));
      return all;
    },
  };
}

/** A table that is a set of texts. */
function textSet(name) {
  const raw = ccf.kv[name];
  return {
    add: (key) => raw.set(ccf.strToBuf(key), new ArrayBuffer(8)),
    delete: (key) => raw.delete(ccf.strToBuf(key)),
    clear: () => raw.clear(),
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

const memberCerts = () => textTable("public:ccf.gov.members.certs");
const memberKeys = () => textTable("public:ccf.gov.members.encryption_public_keys");
const memberInfo = () => jsonTable("public:ccf.gov.members.info");
const serviceInfo = () => single("public:ccf.gov.service.info");
const serviceConfiguration = () => single("public:ccf.gov.service.config");

// What several files need ------------------------------------------------------------------------------------------

/** IDs of the members who may propose and vote. */
function activeMembers() {
  return memberInfo().entries().filter(([, { status }]) => status === "Active").map(([memberId]) => memberId);
}

/** Active members who hold an encryption key, that is, who can help to recover the service. */
function activeKeyHolders() {
  const keys = memberKeys();
  return activeMembers().filter((memberId) => keys.has(memberId)).length;
}

/** How long a certificate shall last: as long as proposed, else as long as it may. A setting of the service limits it. */
function validityDays(args, setting) {
  const most = serviceConfiguration().mustGet()[setting] ?? 365;
  const days = args.validity_period_days ?? most;
  must(days <= most, `validity_period_days is ${days}, but this service allows ${most} at most`);
  return days;
}

/**
 * Ends every other open proposal as Dropped. Actions that change what an open proposal would mean do this: members
 * voted for that proposal under the old rules, and must be asked again under the new ones.
 */
function dropOtherProposals(proposalId) {
  const proposals = jsonTable("public:ccf.gov.proposals_info");
  for (const [id, info] of proposals.entries()) {
    if (id !== proposalId && info.state === "Open") proposals.set(id, { ...info, state: "Dropped" });
  }
}
