/**
 * Faults for whole nodes, each a small change of their source: proof that the checkers can fail.
 *
 * In: nothing. Out: a table; planted_faults_test.ts makes a copy of the sources with one of them and runs schedules on it.
 * They are mistakes that bare consensus cannot see: in state, keys, signatures, sessions, forwarding and snapshots.
 */

export interface PlantedFault {
  readonly name: string;
  readonly file: string;
  /** What is replaced, each found exactly once in the file. */
  readonly changes: readonly { readonly find: string; readonly replace: string }[];
  /** The properties of which one must be the first that does not hold. */
  readonly caughtBy: readonly string[];
  /** Where to begin: a schedule that caught it, so that nobody has to wait for one. */
  readonly seed: number;
}

/** Schedules, from its seed on, within which each fault must be caught: nodes change, and seeds with them. */
export const SCHEDULES = 100;

export const PLANTED_FAULTS: readonly PlantedFault[] = [
  {
    name: "a backup does not check signatures",
    file: "enclave/commit_path.ts",
    changes: [{ find: "if (committable) this.#signatureCheck.require(entry);", replace: "" }],
    caughtBy: ["BackupsCheckSignatures"],
    seed: 1,
  },
  {
    name: "the tree is not retracted on rollback",
    file: "enclave/commit_path.ts",
    changes: [{ find: "this.#tree.retract(to + 1);", replace: "" }],
    caughtBy: ["OneRoot", "NodesGoOn"],
    seed: 1,
  },
  {
    name: "ledger secrets are not rolled back",
    file: "enclave/commit_path.ts",
    changes: [{ find: "    this.secrets.rollback(to);\n", replace: "" }],
    caughtBy: ["SecretsFollowTheLog", "NodesGoOn", "Liveness"],
    seed: 15,
  },
  {
    name: "what is signed is told to be committed",
    file: "enclave/commit_path.ts",
    changes: [{
      find: "if (id.seqno <= this.#committedSeqno) return",
      replace: "if (id.seqno <= this.lastSigned) return",
    }],
    caughtBy: ["CommittedIsHeld", "CommittedOrInvalidInv", "CommittedOrInvalidStrongInv", "NodesGoOn"],
    seed: 1,
  },
  {
    name: "what is not committed and of an older view is told to be invalid",
    file: "enclave/commit_path.ts",
    changes: [{
      find: `if (localView === id.view) return "Pending";`,
      replace: `if (id.view < this.view) return "Invalid"; if (localView === id.view) return "Pending";`,
    }],
    caughtBy: ["CommittedOrInvalidInv", "CommittedOrInvalidStrongInv", "CommittedIsNeverLost"],
    seed: 1,
  },
  {
    name: "a view begins with whatever is due",
    file: "enclave/node.ts",
    changes: [{ find: "if (this.canReplicate && this.path.raft.shouldSign) this.sign();", replace: "" }],
    caughtBy: ["ViewsBeginWithASignature"],
    seed: 5,
  },
  {
    name: "a session goes on after what it has seen was dropped",
    file: "enclave/frontend/session.ts",
    changes: [{
      find: "if (this.seen !== undefined && path.viewOf(this.seen.seqno) !== this.seen.view) {",
      replace: "if (false as boolean) {",
    }],
    caughtBy: ["SessionConsistency"],
    seed: 1,
  },
  {
    name: "a session goes on with a primary that may lack what it has seen",
    file: "enclave/frontend/session.ts",
    changes: [{
      find: "if (this.seen.seqno > committedTxId.seqno) throw new SessionConsistencyLost(loss(this.seen));",
      replace: "void committedTxId;",
    }],
    caughtBy: ["SessionConsistency"],
    seed: 15,
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
    seed: 1,
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
    seed: 1,
  },
  {
    name: "a channel takes a message again",
    file: "enclave/channels/message_key.ts",
    changes: [
      { find: "if (this.isPast(protection)) return undefined;", replace: "" },
      { find: "return counter <= this.#last;", replace: "return counter < 0;" },
    ],
    caughtBy: ["UniqueTxRequestsInv"],
    seed: 3,
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
    seed: 19,
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
    seed: 2,
  },
  {
    name: "a retirement is recorded before it is committed",
    file: "enclave/endpoints/retirement.ts",
    changes: [{ find: "if (rowOf(committed, id)?.status", replace: "void committed; if (rowOf(tx, id)?.status" }],
    caughtBy: ["RetiredCommittedInv"],
    seed: 18,
  },
  {
    name: "a node that waits is counted as a member",
    file: "enclave/node_rows.ts",
    changes: [{
      find: `if (info.status === "Trusted") members`,
      replace: `if (info.status === "Trusted" || info.status === "Pending") members`,
    }],
    caughtBy: ["LogConfigurationConsistentInv"],
    seed: 2,
  },
  {
    name: "a rollback does not bring back what was removed",
    file: "shared/kv/versioned_table.ts",
    changes: [{
      find: "removed.forEach((entry, i) => entry && this.#restore(changes.removes[i]!, entry, settled));",
      replace: "void removed;",
    }],
    caughtBy: ["Linearizable", "NodesGoOn", "ReadsAreOfTheirTransaction", "StateMachineEquality"],
    seed: 1,
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
    seed: 114,
  },
  {
    name: "a backup takes an entry with changed flags",
    file: "enclave/commit_path.ts",
    changes: [{
      find: "if ((entry.flags & ~flagsOf(publicTables, committable)) !== 0)",
      replace: "if (false as boolean)",
    }],
    caughtBy: ["StateMachineEquality"],
    seed: 94,
  },
];
