import { strict as assert } from "node:assert";
import { join } from "node:path";
import fc from "fast-check";
import { fromUtf8, toBase64, toHex, toUtf8 } from "../../../shared/bytes.ts";
import { noblePrimitives } from "../../../shared/crypto/primitives.ts";
import { MAX_RECEIPT_LINK_CHARACTERS, MAX_RECEIPTS_AT_ONCE } from "../../../shared/limits.ts";
import type { Expected } from "../../../shared/receipt/expected.ts";
import { teamData, teamTest } from "../../../tests/team_data.ts";
import type { EntryAnswer, ServiceFacts, TransactionDetail } from "../../ledger/protocol.ts";
import { verdictFile } from "./checked_receipt.ts";
import { type JudgedReceipt, judgeReceipt, type KnownService } from "./judge_receipt.ts";
import { receiptForLink, receiptFromLink, receiptsInBytes, receiptsInText } from "./read_receipts.ts";
import { findInLedger } from "./receipt_in_ledger.ts";

const NOW_MS = Date.UTC(2026, 10, 24);
const folder = (epoch: number) => join(teamData("ccf/testdata/recorded_recovery"), "receipts", `epoch${epoch}`);
const receiptFile = (name: string, epoch = 0) => Deno.readFileSync(join(folder(epoch), name));

function service(epoch: number, known: KnownService["known"] = "pinned"): KnownService {
  return {
    certificatePem: Deno.readTextFileSync(join(folder(epoch), "service_cert.pem")),
    known,
    name: "Test service",
  };
}

function judge(bytes: Uint8Array | string, services: readonly KnownService[], expected: Expected = {}): JudgedReceipt {
  const [read] = typeof bytes === "string" ? receiptsInText("r", bytes) : receiptsInBytes("r", bytes);
  assert(read !== undefined && read.kind !== "unreadable", JSON.stringify(read));
  return judgeReceipt(noblePrimitives, read, services, expected, NOW_MS);
}

const resultOf = ({ steps }: JudgedReceipt, name: string) => steps.find((step) => step.name === name)?.result;
const firstFailed = ({ steps }: JudgedReceipt) => steps.find(({ result }) => result === "failed");

/** A JSON receipt with one change. */
function changed(change: (json: Record<string, unknown>) => void, name = "2.16.json"): string {
  const json = JSON.parse(fromUtf8(receiptFile(name)));
  change(json);
  return JSON.stringify(json);
}

const flipped = (hex: string) => (hex[0] === "0" ? "1" : "0") + hex.slice(1);

teamTest("judgeReceipt() verifies every receipt that a CCF node answered, across recoveries", () => {
  let count = 0;
  for (const epoch of [0, 1, 2]) {
    for (const { name } of Deno.readDirSync(folder(epoch))) {
      if (!/^\d.*\.(json|cose)$/.test(name)) continue;
      // The older lives are there too: the right one is found among them.
      const judged = judge(receiptFile(name, epoch), [0, 1, 2].map((life) => service(life)));
      assert.equal(judged.verdict, "verified", `epoch ${epoch}, ${name}: ${judged.reason}`);
      assert(judged.paths.every(({ root }) => /^[0-9a-f]{64}$/.test(root)));
      count++;
    }
  }
  assert(count > 40);
});

teamTest("judgeReceipt() says of a service that is not pinned for which key the receipt holds", () => {
  for (const name of ["2.16.json", "2.16.cose"]) {
    const judged = judge(receiptFile(name), [service(0, "given")]);
    assert.equal(judged.verdict, "not pinned", name);
    assert.match(judged.reason, /^valid for key [0-9a-f]{64}, which you have not pinned/);
    assert.equal(resultOf(judged, "signature"), "verified");
  }
});

teamTest("judgeReceipt() does not call a receipt refused whose service is not at hand", () => {
  for (const services of [[], [service(1)]]) {
    const json = judge(receiptFile("2.16.json"), services);
    assert.equal(json.verdict, "cannot be checked");
    assert.equal(resultOf(json, "signature"), "verified");
    assert.equal(resultOf(json, "service"), "cannot be checked");
    const cose = judge(receiptFile("2.16.cose"), services);
    assert.equal(cose.verdict, "cannot be checked");
    assert.equal(resultOf(cose, "root"), "verified");
    assert.equal(resultOf(cose, "signature"), "cannot be checked");
  }
});

teamTest("judgeReceipt() refuses a tampered receipt at the right step, and reaches none after it", () => {
  const tampered: readonly (readonly [step: string, json: string])[] = [
    [
      "signature",
      changed((json) => {
        const leaf = json.leaf_components as Record<string, string>;
        leaf.write_set_digest = flipped(leaf.write_set_digest!);
      }),
    ],
    [
      "signature",
      changed((json) => {
        const leaf = json.leaf_components as Record<string, string>;
        leaf.claims_digest = flipped(leaf.claims_digest!);
      }),
    ],
    [
      "signature",
      changed((json) => {
        const proof = json.proof as Record<string, string>[];
        proof[0] = { right: flipped(proof[0]!.right!) };
      }),
    ],
    // 2.16 has one step from the left; without it the proof is cut.
    ["path", changed((json) => void (json.proof as unknown[]).pop())],
    // 17 has one more bit set than 16.
    [
      "path",
      changed((json) => {
        const leaf = json.leaf_components as Record<string, string>;
        leaf.commit_evidence = leaf.commit_evidence!.replace("ce:2.16:", "ce:2.17:");
      }),
    ],
    // The last bytes of a certificate are its signature by the service.
    [
      "service",
      changed((json) => {
        const lines = (json.cert as string).trimEnd().split("\n");
        const last = lines.at(-2)!;
        lines[lines.length - 2] = last.slice(0, 4) + (last[4] === "A" ? "B" : "A") + last.slice(5);
        json.cert = lines.join("\n") + "\n";
      }),
    ],
    // Cut short, it is no signature at all, and still that is the step at which it ends.
    ["signature", changed((json) => json.signature = (json.signature as string).slice(0, 40))],
    ["node", changed((json) => json.node_id = flipped(json.node_id as string))],
    [
      "leaf",
      changed((json) => {
        delete json.leaf_components;
        json.leaf = "00".repeat(32);
      }),
    ],
  ];
  for (const [step, json] of tampered) {
    const judged = judge(json, [service(0)]);
    assert.equal(judged.verdict, "refused", step);
    assert.equal(firstFailed(judged)?.name, step);
    const at = judged.steps.findIndex(({ result }) => result === "failed");
    assert(judged.steps.slice(at + 1).every(({ result }) => result === "not reached"), step);
    assert(judged.steps[at]!.meaning !== undefined, `${step} says what it mostly means`);
  }
});

teamTest("judgeReceipt() names a cut proof as such where its left steps are too few", () => {
  const judged = judge(changed((json) => void (json.proof as unknown[]).pop()), [service(0)]);
  assert.equal(firstFailed(judged)?.name, "path");
  assert.match(judged.reason, /2\.16 has 1 step from the left, as the path has 0/);
});

teamTest("judgeReceipt() tells wrong claims and a wrong transaction from a receipt that is not genuine", () => {
  for (const name of ["2.16.json", "2.16.cose"]) {
    const bytes = receiptFile(name);
    const wrongClaims = judge(bytes, [service(0)], { claimsDigest: new Uint8Array(32).fill(1) });
    assert.equal(firstFailed(wrongClaims)?.name, "claims");
    assert.match(firstFailed(wrongClaims)!.meaning!, /genuine/);
    const wrongTx = judge(bytes, [service(0)], { txId: { view: 2, seqno: 17 } });
    assert.equal(firstFailed(wrongTx)?.name, "transaction");
    assert.equal(judge(bytes, [service(0)], { txId: { view: 2, seqno: 16 } }).verdict, "verified");
  }
});

teamTest("judgeReceipt() notes a certificate that has ended, and refuses nothing for it", () => {
  const read = receiptsInBytes("r", receiptFile("2.16.json"))[0]!;
  assert(read.kind !== "unreadable");
  const judged = judgeReceipt(noblePrimitives, read, [service(0)], {}, Date.UTC(2099, 0));
  assert.equal(judged.verdict, "verified");
  assert(judged.notes.some((note) => /certificate of the node that signed ended on/.test(note)));
});

teamTest("judgeReceipt() verifies no receipt with any one character of a digest, key or signature changed", () => {
  const text = fromUtf8(receiptFile("2.16.json"));
  fc.assert(
    fc.property(fc.nat(text.length - 1), fc.constantFrom(..."0123456789abcdefABZ+/"), (at, char) => {
      fc.pre(/[0-9a-zA-Z+/]/.test(text[at]!) && text[at] !== char);
      const [read] = receiptsInText("r", text.slice(0, at) + char + text.slice(at + 1));
      if (read === undefined || read.kind === "unreadable") return;
      const judged = judgeReceipt(noblePrimitives, read, [service(0)], {}, NOW_MS);
      // Names of members that nobody reads may change.
      if (judged.verdict !== "verified") return;
      assert.deepEqual(read.receipt, receiptsInText("r", text).map((r) => r.kind !== "unreadable" && r.receipt)[0]);
    }),
    { numRuns: 150 },
  );
});

teamTest("Receipts are read from text in hex, base64 and base64url, several after each other", () => {
  const cose = receiptFile("2.16.cose");
  const json = fromUtf8(receiptFile("2.16.json"));
  for (const text of [toHex(cose), toHex(cose).toUpperCase(), toBase64(cose), `${toBase64(cose)}\n`]) {
    assert.equal(receiptsInText("r", text)[0]?.kind, "COSE");
  }
  assert.equal(receiptsInText("r", toBase64(toUtf8(json)))[0]?.kind, "JSON");
  const wrapped = toBase64(cose).replace(/.{64}/g, "$&\n");
  assert.deepEqual(receiptsInText("r", wrapped).map(({ kind }) => kind), ["COSE"]);
  for (
    const several of [`${json}\n${json}`, `${json},${json}`, `[${json},${json}]`, `${toHex(cose)}\n${toBase64(cose)}`]
  ) {
    const read = receiptsInText("r", several);
    assert.equal(read.length, 2);
    assert(read.every(({ kind }) => kind !== "unreadable"), JSON.stringify(read.map(({ kind }) => kind)));
  }
});

teamTest("A receipt that was cut, or is none, says which it is", () => {
  const json = fromUtf8(receiptFile("2.16.json"));
  const code = (text: string) => {
    const [read] = receiptsInText("r", text);
    return read?.kind === "unreadable" ? read.problem.code : read?.kind;
  };
  assert.equal(code(json.slice(0, -40)), "ReceiptCutShort");
  assert.equal(code("hello"), "ReceiptUnknownFormat");
  assert.equal(code('{"a":1}'), "ReceiptUnreadable");
  assert.equal(code(changed((j) => (j.proof as Record<string, string>[])[0] = { right: "00" })), "ReceiptUnreadable");
  const [empty] = receiptsInText("r", "  ");
  assert.ok(empty?.kind === "unreadable" && empty.problem.code === "ReceiptEmpty");
  assert.equal(receiptsInBytes("r", new Uint8Array([0xff, 0xfe]))[0]?.kind, "unreadable");
  const many = receiptsInText("r", "{}".repeat(MAX_RECEIPTS_AT_ONCE + 1)).at(-1)!;
  assert(many.kind === "unreadable" && many.problem.code === "ReceiptsTooMany");
});

teamTest("A receipt goes through a link and back, and a cut link is said to be one", () => {
  for (const name of ["2.16.json", "2.16.cose"]) {
    const bytes = receiptFile(name);
    const link = receiptForLink(bytes)!;
    assert.deepEqual(receiptFromLink(link)[0]!.bytes, bytes);
  }
  assert.equal(receiptForLink(new Uint8Array(MAX_RECEIPT_LINK_CHARACTERS)), undefined);
  const [read] = receiptFromLink("a*b");
  assert(read?.kind === "unreadable" && read.problem.code === "ReceiptLinkDamaged");
});

Deno.test("Nothing that is dropped makes reading receipts throw", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => void receiptsInBytes("r", bytes)));
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(...'{}[]",:a1 \n\\') }), (text) => void receiptsInText("r", text)),
  );
  fc.assert(fc.property(fc.string(), (text) => void receiptFromLink(text)));
});

teamTest("findInLedger() finds the transaction, another branch, and what is not there yet", async () => {
  const receipt = judge(receiptFile("2.16.json"), [service(0)]);
  const facts: ServiceFacts = {
    status: "Open",
    certificatePem: "",
    identity: receipt.serviceIdentity!,
    identities: [{ identity: receipt.serviceIdentity!, certificatePem: "", fromSeqno: 1 }],
  };
  const signature = { txId: "2.24", seqno: 24, root: "00", nodeId: "n" };
  const asked = async (answer: EntryAnswer, of = facts) => {
    const ledger = {
      transaction: () => Promise.resolve(answer),
      proof: () => Promise.resolve({ leaf: "", path: [], root: "", signature }),
    };
    return await findInLedger(ledger, of, receipt);
  };
  const found = (leaf: string, proof: "verified" | "unsigned" = "verified"): EntryAnswer => ({
    found: true,
    transaction: { leaf, proof } as TransactionDetail,
  });
  const leaf = receipt.paths[0]!.leaf;
  const good = await asked(found(leaf));
  assert.deepEqual([good.step.result, good.seqno, good.signedByNode], ["verified", 16, "n"]);
  assert.equal((await asked(found(leaf, "unsigned"))).step.result, "cannot be checked");
  assert.equal((await asked(found("00"))).step.result, "failed");
  assert.equal((await asked({ found: false, why: "invalid", detail: "view 3" })).step.result, "failed");
  assert.equal((await asked({ found: false, why: "unknown", detail: "beyond" })).step.result, "cannot be checked");
  const other = { ...facts, identities: [{ ...facts.identities[0]!, identity: "ff" }] };
  assert.match((await asked(found("00"), other)).step.detail, /another service/);
});

teamTest("verdictFile() tells machines what people see, of receipts that cannot be read too", () => {
  const read = [
    ...receiptsInBytes("good.json", receiptFile("2.16.json")),
    ...receiptsInText("bad.json", '{"cert":'),
  ];
  const checked = read.map((each) =>
    each.kind === "unreadable"
      ? { read: each, tookMs: 0 }
      : { read: each, judged: judgeReceipt(noblePrimitives, each, [service(0)], {}, NOW_MS), tookMs: 1 }
  );
  const { receipts, checked_at } = JSON.parse(verdictFile(checked, NOW_MS));
  assert.equal(checked_at, "2026-11-24T00:00:00.000Z");
  assert.deepEqual(receipts.map(({ name, verdict }: Record<string, unknown>) => [name, verdict]), [
    ["good.json", "verified"],
    ["bad.json", "refused"],
  ]);
  assert.deepEqual(receipts[0].transactions, ["2.16"]);
  assert.equal(receipts[1].code, "ReceiptCutShort");
  assert.equal(receipts[0].receipt, toBase64(receiptFile("2.16.json")));
});
