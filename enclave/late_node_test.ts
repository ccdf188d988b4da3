/** What a node that joined behind a snapshot can tell of the time before it. */

import { strict as assert } from "node:assert";
import { concat } from "../shared/bytes.ts";
import { LedgerEntry } from "../shared/ledger/entry.ts";
import { isSignature } from "../shared/ledger/signature.ts";
import { HISTORICAL_SEARCH_ENTRIES } from "../shared/limits.ts";
import { parseReceipt } from "../shared/receipt/receipt.ts";
import { verifyReceipt } from "../shared/receipt/verify_receipt.ts";
import { bodyText, headerOf, odataError } from "../tests/inline_app.ts";
import { InlineNetwork } from "../tests/inline_network.ts";
import type { InlineNode } from "../tests/inline_node.ts";
import { startInlineService } from "../tests/inline_service.ts";
import { seededRandom } from "../tests/ledger_forge.ts";
import { decide } from "../tests/members.ts";
import type { HttpResponse, RpcInterface } from "./messages.ts";
import { loadNativePowers } from "./native_powers.ts";

/** The one interface of a node, on which joining nodes may read snapshots. */
function interfacesAt(address: string): Readonly<Record<string, RpcInterface>> {
  const description = { bind_address: address, published_address: address };
  return { primary_rpc_interface: { ...description, enabled_operator_features: ["SnapshotRead"] } };
}

interface Late {
  readonly network: InlineNetwork;
  readonly first: InlineNode;
  readonly late: InlineNode;
  /** Of the snapshot that it began with. */
  readonly start: number;
  /** Answers what the late node asks its host for, and what it asks for then. */
  deliver(): void;
  /** The receipt of an entry, asked for until it is there or cannot be had. */
  receipt(seqno: number): HttpResponse;
  readonly asked: { readonly from: number; readonly to: number }[];
}

/** A service of one node that has signed now and then, and a second node that begins behind its newest snapshot. */
async function startLate(): Promise<Late> {
  const workspace = await Deno.makeTempDir({ prefix: "quorate_late_" });
  try {
    const native = await loadNativePowers();
    const powers = { ...native, random: seededRandom(native.primitives, "late") };
    const service = await startInlineService(workspace, "native", {
      powers,
      change: {
        rpcInterfaces: interfacesAt("127.0.0.1:8000"),
        signatures: { txCount: 300, delayMs: 1000 },
        snapshotTxCount: 1_000_000,
      },
    });
    const { node: first, userCertificate: certificate } = service;
    const network = new InlineNetwork(powers, service);
    const write = (id: number) => {
      const body = { id, msg: `message ${id}` };
      assert.equal(first.request({ method: "POST", target: "/log/private", body, certificate }).status, 200);
    };
    // A signature by time, and one that is further away from its entries than one reading reaches.
    for (let id = 0; id < 10; id++) write(id);
    network.advance(1100);
    for (let id = 0; id < 300; id++) write(id);
    const govern = (name: string, args: unknown = null) => {
      const { status, json } = decide({ ...service, node: network.primary }, { name, args });
      assert.equal(status, 200, JSON.stringify(json));
    };
    govern("trigger_snapshot");
    network.advance(2500);
    const [name, file] = [...first.snapshots].at(-1)!;
    const late = network.join(first, { rpcInterfaces: interfacesAt("127.0.0.1:8001") }, { name, file });
    network.advance(100);
    govern("transition_node_to_trusted", { node_id: late.nodeId, valid_from: "2026-01-01T00:00:00Z" });
    network.advance(2500);
    assert.equal(late.enclave.node!.state, "PartOfNetwork", late.logs.join("\n"));

    const asked: { from: number; to: number }[] = [];
    late.readEntries = (from, to) => {
      asked.push({ from, to });
      return concat(...first.entries.slice(from - 1, to));
    };
    const deliver = () => {
      for (let rounds = 0; rounds < 10; rounds++) late.deliverReads();
    };
    const ask = (seqno: number) => {
      const view = LedgerEntry.parse(first.entries[seqno - 1]!).view;
      return late.request({ method: "GET", target: `/node/receipt?transaction_id=${view}.${seqno}` });
    };
    const receipt = (seqno: number) => {
      if (ask(seqno).status === 202) deliver();
      return ask(seqno);
    };
    return { network, first, late, start: Number(name.split("_")[1]), deliver, receipt, asked };
  } finally {
    await Deno.remove(workspace, { recursive: true });
  }
}

function signatures({ entries }: InlineNode): number[] {
  return entries.map((bytes) => LedgerEntry.parse(bytes)).filter((entry) => isSignature(entry.publicTables()))
    .map(({ seqno }) => seqno);
}

Deno.test("a node that joined behind a snapshot has receipts for all that was before it, and reads little for them", async () => {
  const { first, late, start, receipt, asked } = await startLate();
  const { primitives } = first.enclave.node!;
  const signed = signatures(first);
  for (const seqno of [start - 1, 1, 2, 20, 60, start - 200, start, start + 1]) {
    const response = receipt(seqno);
    assert.equal(response.status, 200, `${seqno}: ${bodyText(response)} ${late.logs.at(-1)}`);
    const { view } = LedgerEntry.parse(first.entries[seqno - 1]!);
    // That of a signature proves a root.
    const expected = signed.includes(seqno) ? {} : { txId: { view, seqno } };
    const proof = parseReceipt(bodyText(response));
    assert.equal(verifyReceipt(primitives, proof, first.servicePem, expected).verdict, "verified", `${seqno}`);
    const read = asked.splice(0);
    const covering = signed.find((signature) => signature >= seqno)!;
    assert.ok(read.every(({ from, to }) => to - from < HISTORICAL_SEARCH_ENTRIES));
    assert.ok(read.length <= 2 + Math.ceil((covering - seqno) / HISTORICAL_SEARCH_ENTRIES), `${seqno}`);
  }
  // What was found for one is known for its neighbours.
  const covering = signed.find((signature) => signature >= 61)!;
  assert.ok(covering - 60 > HISTORICAL_SEARCH_ENTRIES, "it was far away");
  assert.equal(receipt(61).status, 200);
  assert.deepEqual(asked, [61, covering].map((seqno) => ({ from: seqno, to: seqno })));
});

Deno.test("a host that lacks the files of before a snapshot, or lies about them, gets no receipt made up", async () => {
  const { first, late, start, receipt } = await startLate();
  const honest = late.readEntries;
  const seqno = start - 250;
  const signature = signatures(first).find((each) => each >= seqno)!;
  const all = (from: number, to: number) => first.entries.slice(from - 1, to);
  const lies: Record<string, (from: number, to: number) => Uint8Array | null> = {
    "nothing": () => null,
    "no bytes": () => new Uint8Array(),
    "others": (from, to) => concat(...all(from + 1, to + 1)),
    "the first ones only": (from, to) => from === seqno ? concat(...all(from, to)) : null,
    "without the signature": (from, to) => {
      return concat(...all(from, to).map((entry, i) => from + i === signature ? first.entries[signature]! : entry));
    },
    "a changed byte somewhere between": (from, to) => {
      return concat(
        ...all(from, to).map((entry, i) => {
          const changed = entry.slice();
          if (i === 3) changed[100]! ^= 1;
          return changed;
        }),
      );
    },
  };
  for (const [what, lie] of Object.entries(lies)) {
    late.readEntries = lie;
    const response = receipt(seqno);
    assert.equal(response.status, 500, what);
    assert.equal(odataError(response).message, `Transaction 2.${seqno} could not be fetched.`);
    const line = late.logs.at(-1)!;
    assert.ok(line.startsWith(`fail historical Cannot use what the host gave for entry ${seqno}: `), line);
    if (what === "nothing") {
      assert.ok(line.endsWith(
        `this node began with the snapshot at ${start}, and finds older ledger files in a read-only ledger directory`,
      ));
    }
  }
  late.readEntries = honest;
  assert.equal(receipt(seqno).status, 200);
  assert.equal(late.fatal, undefined);
});

Deno.test("entries that come a few at a time are searched all the same", async () => {
  const { first, late, start, deliver } = await startLate();
  const seqno = start - 280;
  const target = `/node/receipt?transaction_id=2.${seqno}`;
  const ask = () => late.request({ method: "GET", target }).status;
  assert.equal(ask(), 202);
  // As a host does whose entries are large: `to` says how far it came.
  for (let from = seqno; from < start && ask() === 202; from += 7) {
    const to = Math.min(from + 6, start);
    late.send({ kind: "ledgerEntries", from, to, entries: concat(...first.entries.slice(from - 1, to)) });
  }
  deliver();
  assert.equal(ask(), 200);
});

Deno.test("a backup sends those who want a snapshot to the primary, and offers its own where nobody leads", async () => {
  const { network, first, late } = await startLate();
  const ask = (node: InlineNode, query = "") => node.request({ method: "GET", target: `/node/snapshot${query}` });
  const [name, file] = [...first.snapshots].at(-1)!;
  late.snapshots.set(name, file);
  assert.equal(headerOf(ask(first), "location"), `https://127.0.0.1:8000/node/snapshot/${name}`);
  const sent = ask(late, "?since=3");
  assert.equal(sent.status, 308);
  assert.equal(odataError(sent).code, "NodeCannotHandleRequest");
  assert.equal(headerOf(sent, "location"), "https://127.0.0.1:8000/node/snapshot?since=3");
  assert.equal(headerOf(ask(late, "?since=x"), "location"), "https://127.0.0.1:8000/node/snapshot");
  const own = late.request({ method: "GET", target: `/node/snapshot/${name}` });
  assert.deepEqual(
    [own.status, own.body.length],
    [206, file.length],
    "by its name it gives the one that it began with",
  );

  network.kill(first);
  network.advance(12_000);
  assert.equal(late.enclave.node!.primaryId, undefined);
  const alone = ask(late);
  assert.deepEqual([alone.status, alone.body.length], [308, 0]);
  assert.match(headerOf(alone, "location")!, new RegExp(`/node/snapshot/${name}$`));
});

Deno.test("entries that a host cannot read cost those before them nothing", async () => {
  const { first, late, receipt } = await startLate();
  const signed = signatures(first);
  const before = signed.findLast((seqno) => seqno < 60)!;
  const damaged = before + 5;
  const honest = late.readEntries;
  late.readEntries = (from, to) => from <= damaged && damaged <= to ? null : honest(from, to);
  for (const seqno of [before - 1, before, 1]) {
    assert.equal(receipt(seqno).status, 200, `${seqno}, though ${damaged} cannot be read: ${late.logs.at(-1)}`);
  }
  for (const seqno of [before + 1, damaged]) {
    assert.equal(receipt(seqno).status, 500, `nothing proves ${seqno} without ${damaged}`);
  }
  assert.match(late.logs.at(-1)!, new RegExp(`could not read entries ${damaged} to ${damaged};`));
});
