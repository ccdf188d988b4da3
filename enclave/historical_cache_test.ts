import { strict as assert } from "node:assert";
import { concat } from "../shared/bytes.ts";
import { SERVICE_INFO } from "../shared/governance/tables.ts";
import { LedgerEntry } from "../shared/ledger/entry.ts";
import { HISTORICAL_RETRY_MS, MAX_HISTORICAL_STATES } from "../shared/limits.ts";
import { parseReceipt } from "../shared/receipt/receipt.ts";
import { verifyReceipt } from "../shared/receipt/verify_receipt.ts";
import { bodyText, headerOf, odataError, serviceTest } from "../tests/inline_app.ts";
import type { InlineService } from "../tests/inline_service.ts";
import { HistoricalCache } from "./historical_cache.ts";
import type { HttpResponse } from "./messages.ts";
import { noblePrimitives } from "../shared/crypto/primitives.ts";

/** Writes some records with signatures between; the seqno of the second. */
function fill(service: InlineService): number {
  const { node, userCertificate } = service;
  const write = (id: number) => {
    const body = { id, msg: `message ${id}` };
    const response = node.request({ method: "POST", target: "/log/private", body, certificate: userCertificate });
    assert.equal(response.status, 200);
    return node.entries.length;
  };
  const sign = () => node.send({ kind: "tick" });
  write(1);
  const second = write(2);
  node.advance(0);
  node.advance(1000);
  write(3);
  sign();
  node.advance(1000);
  assert.equal(node.committed, node.entries.length);
  return second;
}

function receipt({ node }: InlineService, seqno: number): HttpResponse {
  return node.request({ method: "GET", target: `/node/receipt?transaction_id=2.${seqno}` });
}

/** The first signature after an entry. */
function signatureAfter({ node }: InlineService, seqno: number): number {
  const isSignature = (bytes: Uint8Array) =>
    LedgerEntry.parse(bytes).publicTables().some(({ name }) => name === "public:ccf.internal.signatures");
  return node.entries.findIndex((bytes, i) => i + 1 >= seqno && isSignature(bytes)) + 1;
}

/** Asks for an entry, lets the host answer, asks again. */
function fetched(service: InlineService, seqno: number): HttpResponse {
  assert.equal(receipt(service, seqno).status, 202);
  service.node.deliverReads();
  return receipt(service, seqno);
}

serviceTest("a receipt is there once the host has read, and verifies", "native", (service) => {
  const seqno = fill(service);
  const waiting = receipt(service, seqno);
  assert.equal(waiting.status, 202);
  assert.equal(bodyText(waiting), `Historical transaction 2.${seqno} is not currently available.`);
  assert.equal(headerOf(waiting, "retry-after"), "3");
  assert.equal(receipt(service, seqno).status, 202, "asking again does not help the host");
  service.node.deliverReads();
  for (const time of ["first", "second"]) {
    const response = receipt(service, seqno);
    assert.equal(response.status, 200, time);
    const proof = parseReceipt(bodyText(response));
    const expected = { txId: { view: 2, seqno } };
    assert.equal(verifyReceipt(noblePrimitives, proof, service.node.servicePem, expected).verdict, "verified");
  }
});

serviceTest("every committed transaction has a receipt, signatures and snapshot evidence too", "native", (service) => {
  fill(service);
  for (let seqno = 1; seqno <= service.node.entries.length; seqno++) {
    const proof = parseReceipt(bodyText(fetched(service, seqno)));
    assert.equal(verifyReceipt(noblePrimitives, proof, service.node.servicePem, {}).verdict, "verified", `${seqno}`);
    assert.equal(proof.leaf.kind === "digest", signatureAfter(service, seqno) === seqno);
  }
});

type Lie = (service: InlineService, seqno: number) => (from: number, to: number) => Uint8Array | null;

function entry({ node }: InlineService, seqno: number): Uint8Array {
  return node.entries[seqno - 1]!;
}

/** What the host answers about the entry, telling the truth about the signature. */
function about(bytes: (service: InlineService, seqno: number) => Uint8Array | null): Lie {
  return (service, seqno) => (from) => from === seqno ? bytes(service, seqno) : entry(service, from);
}

/** What the host answers about the signature. */
function aboutSignature(bytes: (service: InlineService, signature: number) => Uint8Array | null): Lie {
  return (service, seqno) => (from) => from === seqno ? entry(service, from) : bytes(service, from);
}

function flipped(bytes: Uint8Array, at: number): Uint8Array {
  const copy = bytes.slice();
  copy[at < 0 ? copy.length + at : at]! ^= 1;
  return copy;
}

const LIES: Record<string, Lie> = {
  "no entry": about(() => null),
  "no signature": aboutSignature(() => null),
  "another entry": about((service, seqno) => entry(service, seqno - 1)),
  "the signature for the entry": about((service, seqno) => entry(service, signatureAfter(service, seqno))),
  "the entry for the signature": aboutSignature((service, signature) => entry(service, signature - 1)),
  "a later signature": aboutSignature((service, signature) => entry(service, signatureAfter(service, signature + 1))),
  "an earlier signature": aboutSignature((service) => entry(service, 2)),
  "nothing at all": about(() => new Uint8Array()),
  "half an entry": about((service, seqno) => entry(service, seqno).subarray(0, 50)),
  "an entry without its last byte": about((service, seqno) => entry(service, seqno).subarray(0, -1)),
  "an entry and more": about((service, seqno) => concat(entry(service, seqno), new Uint8Array(1))),
  "two entries": about((service, seqno) => concat(entry(service, seqno), entry(service, seqno + 1))),
  "an entry of zeros": about((service, seqno) => new Uint8Array(entry(service, seqno).length)),
};
// One bit of everything that is sealed: version, size, tag, seqno, view, public part, ciphertext. Flags are under the leaf.
LIES["an entry with other flags"] = about((service, seqno) => flipped(entry(service, seqno), 1));
for (const at of [0, 2, 7, 8, 23, 24, 31, 32, 35, 36, 44, 45, 60, 100, 120, -1]) {
  LIES[`an entry with byte ${at} changed`] = about((service, seqno) => flipped(entry(service, seqno), at));
  LIES[`a signature with byte ${at} changed`] = aboutSignature((service, signature) =>
    flipped(entry(service, signature), at)
  );
}

serviceTest("a host that lies is found out, told of once, and asked again", "native", (service) => {
  const seqno = fill(service);
  const { node } = service;
  const honest = node.readEntries;
  for (const [what, lie] of Object.entries(LIES)) {
    node.readEntries = lie(service, seqno);
    const failed = fetched(service, seqno);
    assert.equal(failed.status, 500, what);
    assert.equal(odataError(failed).code, "TransactionPendingOrUnknown");
    assert.equal(odataError(failed).message, `Transaction 2.${seqno} could not be fetched.`);
    assert.match(node.logs.at(-1)!, new RegExp(`^fail historical Cannot use what the host gave for entry ${seqno}: `));
  }
  node.readEntries = honest;
  assert.equal(fetched(service, seqno).status, 200);
  assert.equal(node.fatal, undefined);
});

serviceTest("a host that never answers is asked again after a while, and not before", "native", (service) => {
  const seqno = fill(service);
  const { node } = service;
  const asked: number[] = [];
  const perform = node.enclave.handle.bind(node.enclave);
  node.enclave.handle = (inputs, nowMs) => {
    const outputs = perform(inputs, nowMs);
    for (const output of outputs) if (output.kind === "ledgerRead") asked.push(output.from);
    return outputs.filter(({ kind }) => kind !== "ledgerRead");
  };
  const signature = signatureAfter(service, seqno);
  assert.equal(receipt(service, seqno).status, 202);
  assert.deepEqual(asked.splice(0), [seqno, signature]);
  node.nowMs += HISTORICAL_RETRY_MS - 1;
  assert.equal(receipt(service, seqno).status, 202);
  assert.deepEqual(asked.splice(0), []);
  node.nowMs += 1;
  assert.equal(receipt(service, seqno).status, 202);
  assert.deepEqual(asked.splice(0), [seqno, signature]);
  node.send({ kind: "ledgerEntries", from: seqno, to: seqno, entries: entry(service, seqno) });
  node.nowMs += HISTORICAL_RETRY_MS;
  assert.equal(receipt(service, seqno).status, 202);
  assert.deepEqual(asked.splice(0), [signature], "what is here is not asked for");
  node.send({ kind: "ledgerEntries", from: signature, to: signature, entries: entry(service, signature) });
  assert.equal(receipt(service, seqno).status, 200);
});

serviceTest("entries may come in one range, in any order, twice, and unasked", "native", (service) => {
  const seqno = fill(service);
  const { node } = service;
  const signature = signatureAfter(service, seqno);
  const deliver = (from: number, to: number) =>
    node.send({ kind: "ledgerEntries", from, to, entries: concat(...node.entries.slice(from - 1, to)) });
  deliver(1, 3);
  node.send({ kind: "ledgerEntries", from: 5, to: 4, entries: new Uint8Array() });
  node.send({ kind: "ledgerEntries", from: 1, to: 1_000_000, entries: node.entries[0]! });
  assert.equal(receipt(service, seqno).status, 202);
  deliver(signature, signature);
  deliver(signature, signature);
  assert.equal(receipt(service, seqno).status, 202);
  deliver(1, signature);
  assert.equal(receipt(service, seqno).status, 200);
  node.send({ kind: "ledgerEntries", from: seqno, to: seqno, entries: null });
  assert.equal(receipt(service, seqno).status, 200, "what is verified stays");
});

serviceTest(
  "only so many past transactions are kept, and the one not used for longest goes first",
  "native",
  ({ node }) => {
    const { path, primitives } = node.enclave.node!;
    // As if the ledger were long, and each entry a signature.
    const longPath: typeof path = Object.create(path, {
      signatureCovering: { value: (seqno: number) => seqno },
      start: { value: 0 },
    });
    const cache = new HistoricalCache(longPath, primitives, () => {});
    const ask = (seqno: number) => cache.get(seqno, 0);
    /** A failure that is still known was not forgotten. */
    const fail = (seqno: number) => cache.deliver(seqno, seqno, null);
    for (let seqno = 1; seqno <= MAX_HISTORICAL_STATES; seqno++) assert.equal(ask(seqno), "pending");
    fail(1);
    assert.equal(ask(1), "failed", "all of them fit");
    fail(2);
    fail(3);
    assert.equal(ask(1), "pending");
    assert.equal(ask(MAX_HISTORICAL_STATES + 1), "pending", "one too many");
    assert.equal(ask(3), "failed");
    assert.equal(ask(2), "pending", "the oldest was forgotten, and is fetched anew");
  },
);

serviceTest("past transactions are kept up to so many bytes", "native", (service) => {
  fill(service);
  const { path, primitives } = service.node.enclave.node!;
  /** Which of them are there in the end. */
  const kept = (maxBytes: number, seqnos: readonly number[]) => {
    const cache = new HistoricalCache(path, primitives, () => {}, maxBytes);
    for (const seqno of seqnos) {
      cache.get(seqno, 0);
      for (const each of [seqno, signatureAfter(service, seqno)]) cache.deliver(each, each, entry(service, each));
    }
    // Asking for what is gone makes room for it, so the newest is asked for first.
    return seqnos.toReversed().filter((seqno) => typeof cache.get(seqno, 0) === "object");
  };
  const all = [3, 7, 8];
  // Twice, since an entry's private tables are kept in the clear besides.
  const sum = all.reduce((total, seqno) => total + 2 * entry(service, seqno).length, 0);
  assert.deepEqual(kept(sum, all), [8, 7, 3]);
  assert.deepEqual(kept(sum - 1, all), [8, 7]);
  assert.deepEqual(kept(1, all), [8], "one alone may be larger");
});

serviceTest("what is unknown, invalid or no ID has no receipt", "native", ({ node }) => {
  const noId = ["TransactionInvalid", "Could not extract Transaction Id"] as const;
  const notCommitted = "Only committed transactions can be queried. Transaction";
  const cases = [
    ["", ...noId],
    ["?transaction_id=", ...noId],
    ["?transaction_id=2", ...noId],
    ["?transaction_id=2.0", ...noId],
    ["?transaction_id=1.1", "TransactionInvalid", `${notCommitted} 1.1 is Invalid`],
    ["?transaction_id=9.1", "TransactionInvalid", `${notCommitted} 9.1 is Invalid`],
    ["?transaction_id=2.999", "TransactionPendingOrUnknown", `${notCommitted} 2.999 is Unknown`],
  ] as const;
  for (const [query, code, message] of cases) {
    const response = node.request({ method: "GET", target: `/app/receipt${query}` });
    assert.equal(response.status, 404);
    assert.deepEqual(odataError(response), { code, message });
    const mayCome = code === "TransactionPendingOrUnknown";
    assert.equal(headerOf(response, "cache-control"), mayCome ? "no-cache" : undefined);
  }
});

serviceTest("a recovered service that is not open yet shows nothing of before its time", "native", (service) => {
  const { node } = service;
  fill(service);
  const become = (status: "Recovering" | "Open", created: string) =>
    node.write((tx) => {
      const info = tx.open(SERVICE_INFO).get()!;
      tx.open(SERVICE_INFO).put({ ...info, status, current_service_create_txid: created });
    });
  become("Recovering", "3.9");
  const response = receipt(service, 3);
  assert.equal(response.status, 404);
  assert.equal(odataError(response).code, "TransactionInvalid");
  assert.match(odataError(response).message, /Transaction 2\.3 is older$/);
  become("Recovering", "2.9");
  assert.equal(receipt(service, 3).status, 202);
  become("Open", "3.9");
  assert.equal(receipt(service, 3).status, 202);
});

serviceTest("what is not committed yet has no receipt yet", "native", ({ node, userCertificate: certificate }) => {
  node.request({ method: "POST", target: "/log/private", body: { id: 1, msg: "x" }, certificate });
  const pending = node.request({ method: "GET", target: `/app/receipt?transaction_id=2.${node.entries.length}` });
  assert.match(odataError(pending).message, /is Pending$/);
});
