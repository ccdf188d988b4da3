import { strict as assert } from "node:assert";
import { IDLE_STATE, type LedgerState } from "../ledger/protocol.ts";
import type { PinnedService } from "./pin_store.ts";
import { judgePins } from "./pinning.ts";

const URL = "https://127.0.0.1:9000";
const NOW_MS = 5;
const life = (identity: string, fromSeqno = 1) => ({
  identity,
  certificatePem: `certificate of ${identity}`,
  fromSeqno,
});

function folded(txId: string, ...identities: readonly string[]): LedgerState {
  const last = identities.at(-1)!;
  return {
    ...IDLE_STATE,
    status: "following",
    signed: { txId, seqno: Number(txId.split(".")[1]), root: `root ${txId}`, nodeId: "n" },
    service: {
      status: "Open",
      certificatePem: `certificate of ${last}`,
      identity: last,
      identities: identities.map((identity, i) => life(identity, 1 + i * 10)),
    },
    pin: { serviceIdentity: last, lastSigned: txId, root: `root ${txId}` },
  };
}

const pinned = (genesis: string, lastSigned: string, now = genesis): PinnedService => ({
  genesisIdentity: genesis,
  name: `service ${genesis}`,
  pin: { serviceIdentity: now, lastSigned, root: `root ${lastSigned}` },
  certificatePem: `certificate of ${now}`,
  url: URL,
  verifiedAtMs: 1,
});

Deno.test("judgePins() says nothing before a signature is verified", () => {
  assert.deepEqual(judgePins(IDLE_STATE, [pinned("a", "2.5")], URL, undefined, NOW_MS), { kind: "unread" });
});

Deno.test("judgePins() finds a service by its first key, whatever address it was opened by", () => {
  const known = pinned("a", "2.5");
  const found = judgePins(folded("2.3", "a"), [known, pinned("b", "2.9")], "https://other:1", undefined, NOW_MS);
  assert.deepEqual(found, { kind: "compare", with: known });
  assert.deepEqual(judgePins(folded("2.3", "c"), [known], "https://other:1", undefined, NOW_MS), { kind: "unknown" });
  assert.deepEqual(judgePins(folded("2.3", "a"), [known], undefined, undefined, NOW_MS).kind, "compare");
});

Deno.test("judgePins() raises a stop where an address has another service than was pinned", () => {
  const known = pinned("a", "2.5");
  for (const opened of [known, undefined]) {
    const judged = judgePins(folded("2.30", "x"), [known], URL, opened, NOW_MS);
    assert(judged.kind === "changed");
    assert.equal(judged.problem.code, "IdentityChanged");
    assert.match(judged.problem.why, /began with the key a, and this one began with x/);
  }
  // Also where the other one is itself remembered, from elsewhere.
  assert.equal(judgePins(folded("2.30", "x"), [known, pinned("x", "2.1")], URL, known, NOW_MS).kind, "changed");
});

Deno.test("judgePins() moves a pin forward, and never back", () => {
  const known = pinned("a", "2.5");
  assert.deepEqual(judgePins(folded("2.3", "a"), [known], URL, known, NOW_MS), { kind: "behind", of: known });
  assert.deepEqual(judgePins(folded("2.5", "a"), [known], URL, known, NOW_MS), { kind: "behind", of: known });
  const judged = judgePins(folded("2.9", "a"), [known], URL, known, NOW_MS);
  assert(judged.kind === "continues");
  assert.deepEqual(judged.next?.pin, { serviceIdentity: "a", lastSigned: "2.9", root: "root 2.9" });
  assert.equal(judged.next?.verifiedAtMs, NOW_MS);
  assert.equal(judged.next?.name, known.name);
});

Deno.test("judgePins() leaves it to a person whether a recovered service goes on, and stops nothing", () => {
  const known = pinned("a", "2.5");
  const judged = judgePins(folded("4.20", "a", "b"), [known], URL, known, NOW_MS);
  assert(judged.kind === "recovered");
  assert.equal(judged.next.pin.serviceIdentity, "b");
  // Once accepted it goes on by itself.
  const accepted = judged.next;
  assert.equal(judgePins(folded("4.30", "a", "b"), [accepted], URL, accepted, NOW_MS).kind, "continues");
});

Deno.test("judgePins() makes nothing of a fold that began with a snapshot", () => {
  const known = pinned("a", "2.5");
  const state = { ...folded("2.90", "a"), fromSnapshot: { seqno: 80, evidenceVerified: true } };
  assert.deepEqual(judgePins(state, [known], undefined, undefined, NOW_MS), { kind: "compare", with: known });
  assert.deepEqual(judgePins(state, [known], undefined, known, NOW_MS), { kind: "behind", of: known });
  const other = { ...folded("2.90", "z"), fromSnapshot: { seqno: 80, evidenceVerified: true } };
  assert.deepEqual(judgePins(other, [known], undefined, undefined, NOW_MS), { kind: "unknown" });
});

Deno.test("judgePins() tells of a recovery behind a snapshot too: whoever has the ledger can write both", () => {
  const known = pinned("a", "2.85");
  const state = {
    ...folded("4.90", "a", "b"),
    firstSeqno: 81,
    fromSnapshot: { seqno: 80, evidenceVerified: true },
  };
  const judged = judgePins(state, [known], undefined, known, NOW_MS);
  assert(judged.kind === "recovered");
  assert.equal(judged.next.pin.serviceIdentity, "b");
  assert.equal(judgePins({ ...state, firstSeqno: 86 }, [known], undefined, known, NOW_MS).kind, "behind");
  const same = { ...folded("2.90", "a"), firstSeqno: 81, fromSnapshot: state.fromSnapshot };
  assert.equal(judgePins(same, [known], undefined, known, NOW_MS).kind, "behind");
});
