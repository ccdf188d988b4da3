import { strict as assert } from "node:assert";
import { fuzzDecoder, mutatedText } from "../../tests/mutations.ts";
import { ledgerDirectory, readEntries } from "../../tests/services.ts";
import { teamTest } from "../../tests/team_data.ts";
import { FormatError } from "../assert.ts";
import { noblePrimitives as primitives } from "../crypto/primitives.ts";
import { formatTxId } from "../tx_id.ts";
import { type LedgerPin, mayMovePin, parsePin, type PinBreach, pinMismatch, pinNotSeen, serialisePin } from "./pin.ts";
import { LedgerVerifier } from "./replay.ts";

const PIN: LedgerPin = {
  serviceIdentity: "25d7fc06".repeat(8),
  lastSigned: { view: 2, seqno: 27 },
  root: new Uint8Array(32).fill(0xe6),
};

Deno.test("a pin is JSON with three texts, and comes back as it was written", () => {
  const text = serialisePin(PIN);
  assert.deepEqual(JSON.parse(text), {
    service_identity: "25d7fc06".repeat(8),
    last_signed: "2.27",
    root: "e6".repeat(32),
  });
  assert.deepEqual(parsePin(text), PIN);
});

Deno.test("what is no pin is refused", () => {
  const json = JSON.parse(serialisePin(PIN));
  for (
    const change of [
      { service_identity: "25d7" },
      { service_identity: "25D7FC06".repeat(8) },
      { last_signed: "2" },
      { last_signed: "2.0x" },
      { root: "e6" },
      { root: "zz".repeat(32) },
      { root: undefined },
    ]
  ) {
    assert.throws(() => parsePin(JSON.stringify({ ...json, ...change })), FormatError, JSON.stringify(change));
  }
});

Deno.test("whatever is read as a pin is written and read again as the same", () => {
  fuzzDecoder(mutatedText(serialisePin(PIN)), parsePin, (pin) => assert.deepEqual(parsePin(serialisePin(pin)), pin));
});

Deno.test("an older state, another branch and another service are three different breaches", () => {
  const same = { ...PIN, root: PIN.root.slice() };
  assert.equal(pinMismatch(PIN, same, true), undefined);
  const code = (found: Partial<LedgerPin>, isSignature = true) =>
    pinMismatch(PIN, { ...PIN, ...found }, isSignature)?.code;
  assert.equal(code({ root: new Uint8Array(32) }), "LedgerForked");
  assert.equal(code({ lastSigned: { view: 3, seqno: 27 } }), "LedgerForked");
  assert.equal(code({}, false), "LedgerForked");
  assert.equal(code({ serviceIdentity: "00".repeat(32), root: new Uint8Array(32) }), "IdentityChanged");
  assert.equal(pinNotSeen(PIN, { view: 2, seqno: 26 }).code, "LedgerOlderThanPinned");
  assert.equal(pinNotSeen(PIN, { view: 2, seqno: 28 }).code, "PinNotCovered");
});

Deno.test("a pin moves over a recovery only where the service of now is known from elsewhere", () => {
  const grown = { ...PIN, lastSigned: { view: 2, seqno: 90 } };
  const recovered = { ...grown, serviceIdentity: "00".repeat(32) };
  assert.equal(mayMovePin(undefined, recovered, false), true);
  assert.equal(mayMovePin(PIN, grown, false), true);
  assert.equal(mayMovePin(PIN, recovered, false), false);
  assert.equal(mayMovePin(PIN, recovered, true), true);
});

/** What a ledger has at each signature, in order, and the breach of a pin in it. */
function signaturesOf(name: string, pin?: LedgerPin): { readonly pins: LedgerPin[]; readonly breach?: PinBreach } {
  const verifier = new LedgerVerifier({ primitives, mode: "strict" });
  const pins: LedgerPin[] = [];
  for (const bytes of readEntries(ledgerDirectory(name))) {
    const findings = verifier.add(bytes);
    assert.equal(verifier.failed, false, JSON.stringify(findings));
    const { last, lastSigned, tree, identities } = verifier;
    const found = {
      serviceIdentity: identities.at(-1)!.certificate.nodeId,
      lastSigned: last,
      root: tree.root(last.seqno),
    };
    if (last === lastSigned) pins.push(found);
    if (last.seqno !== pin?.lastSigned.seqno) continue;
    const breach = pinMismatch(pin, found, last === lastSigned);
    return { pins, ...(breach !== undefined && { breach }) };
  }
  return { pins, ...(pin !== undefined && { breach: pinNotSeen(pin, verifier.last) }) };
}

teamTest(
  "every signature of a service from before its recovery is found in the recovered ledger, as it was then",
  () => {
    for (const name of ["recorded_recovery", "recorded_recovery_shares", "recorded_rekey"]) {
      const { pins: before } = signaturesOf(`${name}/before_recovery`);
      const { pins: after } = signaturesOf(name);
      assert.ok(before.length > 2 && after.length > before.length);
      for (const [i, pin] of before.entries()) assert.deepEqual(after[i], pin, `${name} ${formatTxId(pin.lastSigned)}`);
      assert.notEqual(after.at(-1)!.serviceIdentity, before.at(-1)!.serviceIdentity);
      // And what was pinned of the recovered service is not there before.
      const old = signaturesOf(`${name}/before_recovery`, after.at(-1));
      assert.equal(old.breach?.code, "LedgerOlderThanPinned");
    }
  },
);

teamTest("a primary that was cut off leaves another branch than the one that the others went on with", () => {
  const { pins } = signaturesOf("recorded_orphans/dead_primary");
  const orphan = signaturesOf("recorded_orphans/new_primary", pins.at(-1));
  assert.equal(orphan.breach?.code, "LedgerForked");
  assert.match(orphan.breach.reason, /a tail that was never committed$/);
});
