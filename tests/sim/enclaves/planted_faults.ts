/**
 * Faults for whole nodes, each a small change of their source: proof that the checkers can fail.
 *
 * In: nothing. Out: a table; planted_faults_test.ts makes a copy of the sources with one of them and runs schedules on it.
 * They are mistakes that bare consensus cannot see: in state, keys, signatures, sessions, forwarding and snapshots.
 */

import type { PlantedFault } from "../planted_copies.ts";
import type { Plan } from "./plan.ts";

export interface NodeFault extends PlantedFault {
  /** What its harm takes is to happen often: so it is found in a few schedules, whatever they come to be like. */
  readonly plan: Partial<Plan>;
}

/** What drops entries of a primary that a client or a member has heard of already. */
const DEPOSED: Partial<Plan> = { firstMembers: 3, partition: 0.02, heal: 0.05 };
/** Nodes come. */
const JOINING: Partial<Plan> = { addNode: 0.02 };

export const PLANTED_FAULTS: readonly NodeFault[] = [
  {
    name: "a backup does not check signatures",
    file: "enclave/commit_path.ts",
    changes: [{ find: "if (committable) this.#signatureCheck.require(entry);", replace: "" }],
    caughtBy: ["BackupsCheckSignatures"],
    plan: {},
  },
  {
    name: "the tree is not retracted on rollback",
    file: "enclave/commit_path.ts",
    changes: [{ find: "this.#tree.retract(to + 1);", replace: "" }],
    caughtBy: ["OneRoot", "NodesGoOn"],
    plan: DEPOSED,
  },
  {
    name: "ledger secrets are not rolled back",
    file: "enclave/commit_path.ts",
    changes: [{ find: "    this.secrets.rollback(to);\n", replace: "" }],
    caughtBy: ["SecretsFollowTheLog", "NodesGoOn", "Liveness"],
    plan: { firstMembers: 3, memberCount: 1, decision: 0.2, partition: 0.05, heal: 0.05, oneWay: 0, crash: 0 },
  },
  {
    name: "what is signed is told to be committed",
    file: "enclave/commit_path.ts",
    changes: [{
      find: "if (id.seqno <= this.#committedSeqno) return",
      replace: "if (id.seqno <= this.lastSigned) return",
    }],
    caughtBy: ["CommittedIsHeld", "CommittedOrInvalidInv", "CommittedOrInvalidStrongInv", "NodesGoOn"],
    plan: {},
  },
  {
    name: "what is not committed and of an older view is told to be invalid",
    file: "enclave/commit_path.ts",
    changes: [{
      find: `if (localView === id.view) return "Pending";`,
      replace: `if (id.view < this.view) return "Invalid"; if (localView === id.view) return "Pending";`,
    }],
    caughtBy: ["CommittedOrInvalidInv", "CommittedOrInvalidStrongInv", "CommittedIsNeverLost"],
    plan: DEPOSED,
  },
  {
    name: "a view begins with whatever is due",
    file: "enclave/node.ts",
    changes: [{ find: "if (this.canReplicate && this.path.raft.shouldSign) this.sign();", replace: "" }],
    caughtBy: ["ViewsBeginWithASignature"],
    plan: { ...DEPOSED, ...JOINING, removeNode: 0.01 },
  },
  {
    name: "a session goes on after what it has seen was dropped",
    file: "enclave/frontend/session.ts",
    changes: [{
      find: "if (this.seen !== undefined && path.viewOf(this.seen.seqno) !== this.seen.view) {",
      replace: "if (false as boolean) {",
    }],
    caughtBy: ["SessionConsistency"],
    plan: DEPOSED,
  },
  {
    name: "a session goes on with a primary that may lack what it has seen",
    file: "enclave/frontend/session.ts",
    changes: [{
      find: "if (this.seen.seqno > committedTxId.seqno) throw new SessionConsistencyLost(loss(this.seen));",
      replace: "void committedTxId;",
    }],
    caughtBy: ["SessionConsistency"],
    plan: { ...DEPOSED, diskMs: [0, 100], reconnect: 0.3, clients: 8, thinkMs: [0, 30] },
  },
  {
    name: "a session survives a change of view",
    file: "enclave/frontend/session.ts",
    changes: [
      { find: "if (this.view !== view) throw new SessionConsistencyLost(viewChange(this.view, view));", replace: "" },
      {
        find: "if (this.seen !== undefined && path.viewOf(this.seen.seqno) !== this.seen.view) {",
        replace: "if (false as boolean) {",
      },
    ],
    caughtBy: ["SessionConsistency"],
    plan: DEPOSED,
  },
  {
    name: "a forwarded request runs twice",
    file: "enclave/forwarding/forwarder.ts",
    changes: [{
      find: "const response = sendable(this.#port.run(session, request), request.method);",
      replace: `this.#port.run(session, request);
        const response = sendable(this.#port.run(session, request), request.method);`,
    }],
    caughtBy: ["UniqueTxRequestsInv", "WritesAreOfTheirTransaction"],
    plan: { firstMembers: 3 },
  },
  {
    name: "a channel takes a message again",
    file: "enclave/channels/message_key.ts",
    changes: [
      { find: "if (this.isPast(protection)) return undefined;", replace: "" },
      { find: "return counter <= this.#last;", replace: "return counter < 0;" },
    ],
    caughtBy: ["UniqueTxRequestsInv"],
    plan: { firstMembers: 3, duplicated: 0.2 },
  },
  {
    name: "a historical query trusts the host",
    file: "enclave/historical_cache.ts",
    changes: [
      { find: "    if (privateTables === undefined) {\n", replace: "    if (false as boolean) {\n" },
      {
        find: "return { entry, privateTables, commitEvidence",
        replace: "return { entry, privateTables: privateTables ?? [], commitEvidence",
      },
    ],
    caughtBy: ["ReceiptsHold"],
    plan: { corrupted: 0.2 },
  },
  {
    name: "secrets are given to a node that waits for the members",
    file: "enclave/endpoints/join.ts",
    changes: [{
      find:
        `if (known?.info.status === "Pending" && !trustsAtOnce) return { nodeStatus: "Pending", nodeId: known.id };`,
      replace: `if (known?.info.status === "Pending" && !trustsAtOnce) {
        const wanted = parseCertificateRequestPem(known.info.certificate_signing_request!);
        const { notBeforeMs, notAfterMs } = joiner.certificate;
        const pem = endorseNode(wanted, node.service, { notBeforeMs, notAfterMs }, node.random);
        return { nodeStatus: "Pending", nodeId: known.id, networkInfo: networkInfoFor(node, service, known.info, pem) };
      }`,
    }],
    caughtBy: ["SecretsGoToTrustedNodes"],
    plan: JOINING,
  },
  {
    name: "a retirement is recorded before it is committed",
    file: "enclave/endpoints/retirement.ts",
    changes: [{ find: "if (rowOf(committed, id)?.status", replace: "void committed; if (rowOf(tx, id)?.status" }],
    caughtBy: ["RetiredCommittedInv"],
    plan: { ...JOINING, removeNode: 0.01 },
  },
  {
    name: "a node that waits is counted as a member",
    file: "enclave/node_rows.ts",
    changes: [{
      find: `if (info.status === "Trusted") members`,
      replace: `if (info.status === "Trusted" || info.status === "Pending") members`,
    }],
    caughtBy: ["LogConfigurationConsistentInv"],
    plan: JOINING,
  },
  {
    name: "a rollback does not bring back what was removed",
    file: "shared/kv/versioned_table.ts",
    changes: [{
      find: "removed.forEach((entry, i) => entry && this.#restore(changes.removes[i]!, entry, settled));",
      replace: "void removed;",
    }],
    caughtBy: ["Linearizable", "NodesGoOn", "ReadsAreOfTheirTransaction", "StateMachineEquality"],
    plan: DEPOSED,
  },
  {
    name: "a node that begins with a snapshot leaves out a table",
    file: "shared/kv/store.ts",
    changes: [{
      find: "    for (const { name, version, entries } of snapshot.tables) {\n",
      replace: `    for (const { name, version, entries } of snapshot.tables) {
        if (name === "records") continue;\n`,
    }],
    caughtBy: ["StateMachineEquality", "ReadsAreOfTheirTransaction"],
    // Many keys: those that are written again after the snapshot show nothing.
    plan: { ...JOINING, firstMembers: 2, memberCount: 1, fromSnapshot: 1, snapshotTxCount: 20, keys: 200, decision: 0 },
  },
  {
    name: "the flags of an entry are not bound to the message that brings it",
    file: "enclave/channels/channel.ts",
    changes: [{ find: "return lastFlags === 0 ? header :", replace: "return lastFlags >= 0 ? header :" }],
    caughtBy: ["StateMachineEquality"],
    plan: { firstMembers: 3, corrupted: 0.3, flipped: 0.3 },
  },
];
