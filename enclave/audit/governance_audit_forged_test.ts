/**
 * Ledgers of a node that does as it likes: whole, signed, and with one decision that does not follow.
 */

import { strict as assert } from "node:assert";
import { join } from "node:path";
import {
  CONSTITUTION,
  COSE_HISTORY,
  JWT_ISSUERS,
  JWT_PUBLIC_SIGNING_KEYS_METADATA_V2,
  MEMBERS_ACKS,
  MEMBERS_CERTS,
  MEMBERS_INFO,
  NODES_INFO,
  PROPOSALS,
  PROPOSALS_INFO,
  RECOVERY_SHARES,
  SERVICE_INFO,
  USERS_CERTS,
  USERS_INFO,
} from "../../shared/governance/tables.ts";
import { PLAIN_BALLOTS } from "../../shared/governance/member_request.ts";
import { toUtf8 } from "../../shared/bytes.ts";
import type { Transaction } from "../../shared/kv/transaction.ts";
import { LedgerEntry } from "../../shared/ledger/entry.ts";
import { LedgerVerifier } from "../../shared/ledger/replay.ts";
import { MerkleTree } from "../../shared/merkle/tree.ts";
import { Effects } from "../governance/effects.ts";
import { createProposal, submitBallot } from "../governance/proposals.ts";
import { GovernanceScripts } from "../governance/scripts.ts";
import { loadScriptEngine } from "../js/runtime.ts";
import { runVerify, type VerifyOptions } from "../../node/commands/ledger.ts";
import { RecordedOutput } from "../../tests/recorded_output.ts";
import { serviceTest } from "../../tests/inline_app.ts";
import type { InlineService } from "../../tests/inline_service.ts";
import { ask, decide, propose, signed, vote } from "../../tests/members.ts";
import { GovernanceAudit, type GovernanceFinding } from "./governance_audit.ts";
import { authenticate } from "./audited_requests.ts";

const engine = await loadScriptEngine(() => performance.now());

interface Audited {
  readonly findings: readonly GovernanceFinding[];
  readonly audit: GovernanceAudit;
  /** What the replay refuses, which looks at signatures and not at decisions. */
  readonly refused: string | undefined;
}

function audit({ node }: InlineService, by = engine): Audited {
  const state = node.enclave.node!;
  state.signWhatIsLeft();
  node.send();
  const { primitives } = state;
  const tree = new MerkleTree(primitives);
  const audit = new GovernanceAudit(primitives, by);
  const verifier = new LedgerVerifier({ primitives, mode: "strict" });
  let refused: string | undefined;
  for (const entry of node.entries) {
    tree.append(LedgerEntry.parse(entry).leaf(primitives));
    if (!verifier.failed) refused = verifier.add(entry).find(({ kind }) => kind === "failure")?.reason;
    audit.add(entry, tree);
  }
  return { findings: audit.findings, audit, refused };
}

/** The only finding, of a ledger that is right otherwise. */
function onlyFinding(service: InlineService, by = engine): GovernanceFinding {
  const { findings, refused } = audit(service, by);
  assert.equal(refused, undefined);
  assert.equal(findings.length, 1, findings.map(({ reason }) => reason).join("\n"));
  return findings[0]!;
}

function members({ sandbox }: InlineService) {
  return sandbox.opening.members;
}

type Write = readonly [table: string, key: string, value: Uint8Array | undefined];

/** Writes what a request brings, as `change` has it. */
function forge(
  service: InlineService,
  member: number,
  request: { readonly proposal: readonly unknown[] } | { readonly proposalId: string; readonly ballot: string },
  { prepare = () => {}, tamper = () => {}, filter = () => true }: {
    /** Before it is decided. */
    readonly prepare?: (tx: Transaction) => void;
    /** After it was decided. */
    readonly tamper?: (tx: Transaction) => void;
    /** Which writes reach the ledger. */
    readonly filter?: (write: Write) => boolean;
  },
): void {
  const state = service.node.enclave.node!;
  const by = members(service)[member]!;
  const message = "proposal" in request
    ? signed(by, { kind: "proposal", proposal: toUtf8(JSON.stringify({ actions: request.proposal })) })
    : signed(by, { kind: "ballot", ...request });
  const tx = state.store.begin();
  prepare(tx);
  const caller = authenticate(state.primitives, tx, by.id, message.body);
  const chamber = {
    tx,
    scripts: new GovernanceScripts(state.scriptHost, tx),
    primitives: state.primitives,
    effects: () => new Effects(state, tx),
  };
  if ("proposal" in request) createProposal(chamber, caller, state.path.tree.root());
  else submitBallot(chamber, caller, request.proposalId);
  tamper(tx);
  const { publicTables } = tx.writeSet();
  service.node.write((real) => {
    for (const { name, writes, removes } of publicTables) {
      for (const [key, value] of writes) if (filter([name, key, value])) real.openRaw(name).put(key, value);
      for (const key of removes) if (filter([name, key, undefined])) real.openRaw(name).remove(key);
    }
  });
}

function newUser(service: InlineService) {
  const certificate = service.node.enclave.node!.store.beginReadOnly().open(MEMBERS_CERTS).get(
    members(service)[2]!.id,
  )!;
  return { name: "set_user", args: { cert: certificate } };
}

const REMOVE_USER = { name: "remove_user", args: { user_id: "0".repeat(64) } };

/** Proposed by the first member, who votes for it: one of the two ballots that it takes. */
function almostDecided(service: InlineService, action: unknown): string {
  const { json } = propose(service, 0, action);
  vote(service, 0, json.proposalId);
  return json.proposalId;
}

serviceTest("what our own service decides follows, whatever it is", "native", (service) => {
  const state = service.node.enclave.node!;
  const tables = state.store.beginReadOnly();
  const constitution = tables.open(CONSTITUTION).get()!;
  const [nodeId] = [...tables.open(NODES_INFO).entries()][0]!;
  const from = new Date(service.node.nowMs).toISOString();
  const actions: readonly unknown[] = [
    newUser(service),
    { name: "trigger_recovery_shares_refresh" },
    { name: "trigger_ledger_rekey" },
    { name: "trigger_ledger_chunk" },
    { name: "trigger_snapshot" },
    { name: "set_recovery_threshold", args: { recovery_threshold: 1 } },
    { name: "set_node_certificate_validity", args: { node_id: nodeId, valid_from: from, validity_period_days: 30 } },
    { name: "set_service_certificate_validity", args: { valid_from: from, validity_period_days: 60 } },
    { name: "set_constitution", args: { constitution: `${constitution}\n// again` } },
    { name: "remove_member", args: { member_id: members(service)[2]!.id } },
  ];
  for (const action of actions) {
    const { status, json } = decide(service, action);
    assert.equal(`${status} ${json.proposalState}`, "200 Accepted", JSON.stringify([action, json]));
  }
  const open = propose(service, 0, REMOVE_USER).json.proposalId;
  assert.equal(vote(service, 1, open, PLAIN_BALLOTS.no).status, 200);
  assert.equal(ask(service, 0, { kind: "withdrawal", proposalId: open }).status, 200);
  const { findings, refused, audit: { firstDoubt, requests, proposals } } = audit(service);
  assert.deepEqual([findings, refused, firstDoubt], [[], undefined, undefined]);
  assert(requests > 30, `${requests}`);
  assert.deepEqual(proposals.all.at(-1)!.events.map(({ state }) => state), ["Open", "Open", "Withdrawn"]);
});

serviceTest("a ballot whose vote was flipped is found", "native", (service) => {
  const proposalId = propose(service, 0, newUser(service)).json.proposalId;
  forge(service, 0, { proposalId, ballot: PLAIN_BALLOTS.no }, {
    tamper: (tx) => {
      const info = tx.open(PROPOSALS_INFO).get(proposalId)!;
      const ballots = { [members(service)[0]!.id]: PLAIN_BALLOTS.yes };
      tx.open(PROPOSALS_INFO).put(proposalId, { ...info, ballots });
    },
  });
  const { verdict, proposalId: subject, reason } = onlyFinding(service);
  assert.deepEqual([verdict, subject], ["does not follow", proposalId]);
  assert.match(reason, /^Of the ballot of member [0-9a-f]{64}: in public:ccf\.gov\.proposals_info/);
});

serviceTest(
  "a proposal that is accepted without a majority is found, with what follows instead",
  "native",
  (service) => {
    const proposalId = propose(service, 0, REMOVE_USER).json.proposalId;
    forge(service, 0, { proposalId, ballot: PLAIN_BALLOTS.yes }, {
      tamper: (tx) => {
        const info = tx.open(PROPOSALS_INFO).get(proposalId)!;
        const final_votes = { [members(service)[0]!.id]: true };
        tx.open(PROPOSALS_INFO).put(proposalId, { ...info, state: "Accepted", final_votes, vote_failures: {} });
      },
    });
    const { reason } = onlyFinding(service);
    assert.match(reason, /the ledger has Accepted with 1 ballots, votes .*; what follows is Open with 1 ballots$/);
  },
);

serviceTest(
  "a proposal that a single no has accepted is found, whoever is said to have run out of time",
  "native",
  (service) => {
    const proposalId = propose(service, 0, REMOVE_USER).json.proposalId;
    forge(service, 0, { proposalId, ballot: PLAIN_BALLOTS.no }, {
      tamper: (tx) => {
        const reason = "Operation took too long to complete.";
        tx.open(PROPOSALS_INFO).put(proposalId, {
          ...tx.open(PROPOSALS_INFO).get(proposalId)!,
          state: "Accepted",
          final_votes: {},
          vote_failures: { nobody: { reason, trace: "" } },
        });
      },
    });
    assert.equal(audit(service).audit.firstDoubt?.verdict, "does not follow");
  },
);

serviceTest("a final vote that is not what the ballot says is found", "native", (service) => {
  const proposalId = almostDecided(service, REMOVE_USER);
  forge(service, 1, { proposalId, ballot: PLAIN_BALLOTS.yes }, {
    tamper: (tx) => {
      const info = tx.open(PROPOSALS_INFO).get(proposalId)!;
      const final_votes = { ...info.final_votes, [members(service)[0]!.id]: false };
      tx.open(PROPOSALS_INFO).put(proposalId, { ...info, final_votes });
    },
  });
  assert.match(onlyFinding(service).reason, /proposals_info/);
});

serviceTest("an effect of an accepted proposal that was left out is found", "native", (service) => {
  const proposalId = almostDecided(service, newUser(service));
  forge(service, 1, { proposalId, ballot: PLAIN_BALLOTS.yes }, { filter: ([table]) => table !== USERS_CERTS.name });
  assert.match(
    onlyFinding(service).reason,
    /in public:ccf\.gov\.users\.certs, .* the ledger has no change; what follows is/,
  );
});

serviceTest("an effect that no action asks for is found", "native", (service) => {
  const proposalId = almostDecided(service, newUser(service));
  forge(service, 1, { proposalId, ballot: PLAIN_BALLOTS.yes }, {
    tamper: (tx) => tx.open(USERS_INFO).put("f".repeat(64), { user_data: "a friend" }),
  });
  assert.match(
    onlyFinding(service).reason,
    /users\.info, f{64} the ledger has .*a friend.*; what follows is no change/,
  );
});

serviceTest(
  "new recovery shares that were not asked for are found, and so are shares that are missing",
  "native",
  (service) => {
    const first = almostDecided(service, newUser(service));
    forge(service, 1, { proposalId: first, ballot: PLAIN_BALLOTS.yes }, {
      tamper: (tx) => new Effects(service.node.enclave.node!, tx).refreshRecoveryShares(),
    });
    const second = almostDecided(service, { name: "trigger_recovery_shares_refresh" });
    forge(service, 1, { proposalId: second, ballot: PLAIN_BALLOTS.yes }, {
      filter: ([table]) => table !== RECOVERY_SHARES.name,
    });
    const { findings } = audit(service);
    assert.deepEqual(findings.map(({ proposalId }) => proposalId), [first, second]);
    assert.match(findings[0]!.reason, /in public:ccf\.internal\.recovery_shares/);
    assert.match(
      findings[1]!.reason,
      /to be refused: .*the ledger has no new value in public:ccf\.internal\.recovery_shares/,
    );
  },
);

serviceTest(
  "an effect that was left out is found also where the constitution catches exceptions",
  "native",
  (service) => {
    const former = service.node.enclave.node!.store.beginReadOnly().open(CONSTITUTION).get()!;
    const careless = `${former.replace(/export function apply\b/, "function formerly")}
export function apply(_proposal, _proposalId) {
  try { ccf.node.triggerRecoverySharesRefresh(); } catch { /* never mind */ }
}`;
    const { json } = decide(service, { name: "set_constitution", args: { constitution: careless } });
    assert.equal(json.proposalState, "Accepted");
    const proposalId = almostDecided(service, REMOVE_USER);
    forge(service, 1, { proposalId, ballot: PLAIN_BALLOTS.yes }, {
      filter: ([table]) => table !== RECOVERY_SHARES.name,
    });
    assert.match(onlyFinding(service).reason, /the ledger has no new value in public:ccf\.internal\.recovery_shares/);
  },
);

serviceTest("a proposal that an older constitution would have accepted is found", "native", (service) => {
  const older = service.node.enclave.node!.store.beginReadOnly().open(CONSTITUTION).get()!;
  const stricter = `${older.replace("export function resolve(", "function formerly(")}
export function resolve(proposal, proposerId, votes) {
  return votes.filter(({ vote }) => vote).length === 3 ? "Accepted" : "Open";
}`;
  const { json } = decide(service, { name: "set_constitution", args: { constitution: stricter } });
  assert.equal(json.proposalState, "Accepted");
  const proposalId = almostDecided(service, newUser(service));
  forge(service, 1, { proposalId, ballot: PLAIN_BALLOTS.yes }, {
    prepare: (tx) => tx.open(CONSTITUTION).put(older),
    filter: ([table]) => table !== CONSTITUTION.name,
  });
  const { findings, refused } = audit(service);
  assert.equal(refused, undefined);
  assert(findings.length > 1 && findings.every((finding) => finding.proposalId === proposalId));
  assert.match(findings[0]!.reason, /the ledger has Accepted with 2 ballots.*; what follows is Open with 2 ballots$/);
});

serviceTest("a proposal under an ID that does not follow is found", "native", (service) => {
  const wrong = "1".repeat(64);
  forge(service, 0, { proposal: [REMOVE_USER] }, {
    tamper: (tx) => {
      for (const [id, info] of [...tx.open(PROPOSALS_INFO).entries()]) {
        if (info.state !== "Open") continue;
        tx.open(PROPOSALS).put(wrong, tx.open(PROPOSALS).get(id)!);
        tx.open(PROPOSALS_INFO).put(wrong, info);
      }
    },
    filter: ([table, key]) => (table !== PROPOSALS.name && table !== PROPOSALS_INFO.name) || key === wrong,
  });
  const { findings, refused } = audit(service);
  assert.equal(refused, "The proposal is filed under an ID that does not follow from its signature");
  assert.equal(findings[0]!.proposalId, wrong);
  assert.match(findings[0]!.reason, /^Of the proposal of member [0-9a-f]{64}: in public:ccf\.gov/);
});

serviceTest("a request that another member signed is found", "native", (service) => {
  const proposalId = propose(service, 0, REMOVE_USER).json.proposalId;
  const [, other, victim] = members(service);
  const { body } = signed(other!, { kind: "ballot", proposalId, ballot: PLAIN_BALLOTS.yes });
  service.node.write((tx) => {
    const info = tx.open(PROPOSALS_INFO).get(proposalId)!;
    tx.open(PROPOSALS_INFO).put(proposalId, { ...info, ballots: { [victim!.id]: PLAIN_BALLOTS.yes } });
    tx.open(COSE_HISTORY).put(victim!.id, body);
  });
  const { findings, refused } = audit(service);
  assert.match(refused!, /names another key$/);
  assert.match(
    findings[0]!.reason,
    /^The ledger has a request of member .* to be refused: it names the key of [0-9a-f]{64}$/,
  );
});

function setKey(tx: Transaction, issuer: string, kid = "kid"): void {
  tx.open(JWT_PUBLIC_SIGNING_KEYS_METADATA_V2).put(kid, [{ public_key: "AA==", issuer }]);
}

serviceTest("changes that no request stands behind are found", "native", (service) => {
  const proposalId = propose(service, 0, REMOVE_USER).json.proposalId;
  const [member] = members(service);
  const changes: readonly (readonly [change: (tx: Transaction) => void, reason: RegExp])[] = [
    [(tx) => tx.open(USERS_CERTS).put("e".repeat(64), "a certificate"), /table public:ccf\.gov\.users\.certs changes$/],
    [(tx) => tx.open(CONSTITUTION).put("anything"), /table public:ccf\.gov\.constitution changes$/],
    [(tx) => tx.open(MEMBERS_INFO).put("d".repeat(64), { status: "Active" }), /members\.info changes$/],
    [(tx) => tx.open(PROPOSALS_INFO).remove(proposalId), /proposals_info changes$/],
    [(tx) => new Effects(service.node.enclave.node!, tx).refreshRecoveryShares(), /shares are issued anew$/],
    [
      (tx) => tx.open(MEMBERS_ACKS).put(member!.id, { state_digest: "c".repeat(64) }),
      /is given another state digest than the newest signed root/,
    ],
    [(tx) => setKey(tx, "https://b"), /keys of token issuers change though none is set to be refreshed$/],
    [
      (tx) => tx.open(JWT_ISSUERS).put("https://a", { auto_refresh: true }),
      /table public:ccf\.gov\.jwt\.issuers changes$/,
    ],
    [(tx) => setKey(tx, "https://c"), /key "kid" changes for an issuer that is not set to be refreshed$/],
    [
      (tx) => tx.open(SERVICE_INFO).put({ ...tx.open(SERVICE_INFO).get()!, status: "Open", service_data: 1 }),
      /the service, which was Open, is Open$/,
    ],
    [
      (tx) => {
        const [[id, info]] = [...tx.open(NODES_INFO).entries()] as [
          [string, Parameters<typeof NODES_INFO.value.encode>[0]],
        ];
        tx.open(NODES_INFO).put(id, { ...info, status: "Retired" });
      },
      /node [0-9a-f]{64}, which was Trusted, is Retired$/,
    ],
  ];
  for (const [change] of changes) service.node.write(change);
  // As a node does that refreshes keys.
  service.node.write((tx) => setKey(tx, "https://a", "another kid"));
  const { findings } = audit(service);
  assert.equal(findings.length, changes.length, findings.map(({ reason }) => reason).join("\n"));
  findings.forEach(({ reason, verdict }, i) => {
    assert.equal(verdict, "does not follow");
    assert.match(reason, changes[i]![1]);
  });
});

serviceTest("a member who becomes active without acknowledging what it was given is found", "native", (service) => {
  const [, , member] = members(service);
  const { body } = signed(member!, { kind: "ack", stateDigest: "b".repeat(64) });
  service.node.write((tx) => {
    const ack = tx.open(MEMBERS_ACKS).get(member!.id)!;
    tx.open(MEMBERS_ACKS).put(member!.id, { ...ack, cose_sign1_req: btoa(String.fromCharCode(...body)) });
    tx.open(MEMBERS_INFO).put(member!.id, { ...tx.open(MEMBERS_INFO).get(member!.id)!, status: "Active" });
  });
  const { reason } = onlyFinding(service);
  assert.match(
    reason,
    /^Of the acknowledgement of member .*: it acknowledges another state digest than the member was given$/,
  );
});

serviceTest("a vote that depends on the time is said to be beyond what can be checked", "native", (service) => {
  const proposalId = almostDecided(service, REMOVE_USER);
  const late = service.node.nowMs + 1000;
  const ballot = `export function vote() { return Date.now() < ${late}; }`;
  assert.equal(vote(service, 1, proposalId, ballot).json.proposalState, "Accepted");
  const { verdict, reason } = onlyFinding(service);
  assert.equal(verdict, "cannot be checked");
  assert.match(reason, /^What comes of the ballot of member .* depends on the time or on chance/);
  assert.equal(audit(service).audit.firstDoubt, undefined);
});

serviceTest("a request that a node had to refuse is found, with the refusal", "native", (service) => {
  const proposalId = propose(service, 0, REMOVE_USER).json.proposalId;
  const [proposer, other] = members(service);
  const withdrawal = signed(other!, { kind: "withdrawal", proposalId });
  service.node.write((tx) => {
    tx.open(PROPOSALS_INFO).put(proposalId, { ...tx.open(PROPOSALS_INFO).get(proposalId)!, state: "Withdrawn" });
    tx.open(COSE_HISTORY).put(other!.id, withdrawal.body);
  });
  const { reason } = onlyFinding(service);
  assert.match(reason, /^Of the withdrawal of member /);
  assert.match(reason, new RegExp(`can only be withdrawn by proposer m\\[${proposer!.id}\\], not caller`));
});

serviceTest("a ballot that was signed for one proposal is none for another", "native", (service) => {
  const one = propose(service, 0, REMOVE_USER).json.proposalId;
  const other = propose(service, 0, newUser(service)).json.proposalId;
  const [, voter] = members(service);
  const { body } = signed(voter!, { kind: "ballot", proposalId: one, ballot: PLAIN_BALLOTS.yes });
  service.node.write((tx) => {
    const info = tx.open(PROPOSALS_INFO).get(other)!;
    tx.open(PROPOSALS_INFO).put(other, { ...info, ballots: { [voter!.id]: PLAIN_BALLOTS.yes } });
    tx.open(COSE_HISTORY).put(voter!.id, body);
  });
  const { findings } = audit(service);
  assert.deepEqual(findings.map(({ verdict }) => verdict), ["does not follow", "does not follow"]);
});

serviceTest("a request that writes private tables is found", "native", (service) => {
  const proposalId = propose(service, 0, REMOVE_USER).json.proposalId;
  const [voter] = members(service);
  const { body } = signed(voter!, { kind: "ballot", proposalId, ballot: PLAIN_BALLOTS.yes });
  service.node.write((tx) => {
    const info = tx.open(PROPOSALS_INFO).get(proposalId)!;
    tx.open(PROPOSALS_INFO).put(proposalId, { ...info, ballots: { [voter!.id]: PLAIN_BALLOTS.yes } });
    tx.open(COSE_HISTORY).put(voter!.id, body);
    tx.openRaw("records").put("1", Uint8Array.of(1));
  });
  const { reason, proposalId: subject } = onlyFinding(service);
  assert.deepEqual([reason, subject], [
    "The transaction writes private tables, and no request of a member does",
    proposalId,
  ]);
});

let hurriedMs = 0;
const hurried = await loadScriptEngine(() => hurriedMs += 10_000);

serviceTest("where scripts run out of time, nothing is said to be wrong", "native", (service) => {
  const proposalId = almostDecided(service, REMOVE_USER);
  const slow = "export function vote() { for (let i = 0; i < 300000; i++); return true; }";
  assert.equal(vote(service, 1, proposalId, slow).json.proposalState, "Accepted");
  const { verdict, reason } = onlyFinding(service, hurried);
  assert.equal(verdict, "cannot be checked");
  assert.match(reason, /^A script of the ballot of member .* ran out of time, here or there/);
  assert.deepEqual(audit(service).findings, []);
});

serviceTest("ledger verify --governance refuses such a ledger, which it verifies otherwise", "native", (service) => {
  const proposalId = almostDecided(service, newUser(service));
  forge(service, 1, { proposalId, ballot: PLAIN_BALLOTS.yes }, { filter: ([table]) => table !== USERS_CERTS.name });
  audit(service); // signs what is left
  const directory = Deno.makeTempDirSync({ prefix: "quorate_forged_" });
  try {
    for (const [name, bytes] of service.node.ledgerFiles()) Deno.writeFileSync(join(directory, name), bytes);
    const run = (options: VerifyOptions) => {
      const output = new RecordedOutput();
      return { code: runVerify(directory, [], options, output, engine), text: output.text };
    };
    assert.equal(run({}).code, 0);
    const pin = join(directory, "pin");
    const { code, text } = run({ governance: true, json: true, pin });
    const report = JSON.parse(text);
    assert.deepEqual([code, report.verdict, report.file], [1, "refused", null]);
    const [finding] = report.governance.findings;
    assert.deepEqual([finding.proposal_id, finding.verdict], [proposalId, "does not follow"]);
    assert.equal(finding.tx_id, `2.${report.first_failing_seqno}`);
    assert.throws(() => Deno.statSync(pin), Deno.errors.NotFound);
    const people = run({ governance: true });
    assert.equal(people.code, 1);
    assert.match(people.text, /\n {2}2\.\d+ proposal [0-9a-f]{64} does not follow: Of the ballot of member /);
    assert.match(people.text, /\nRefused: transaction \d+: 2\.\d+ proposal /);
    assert.doesNotMatch(people.text, /every decision that can be checked follows/);
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
});
