import { strict as assert } from "node:assert";
import fc from "fast-check";
import { FormatError } from "../assert.ts";
import { fromHex, toBase64, toHex, toUtf8 } from "../bytes.ts";
import { verifyCoseSign1 } from "../crypto/cose.ts";
import { parseLedgerSignatureHeader } from "../crypto/cose_headers.ts";
import { generateEcPrivateKey } from "../crypto/ecdsa.ts";
import { nodeIdOf } from "../crypto/identifiers.ts";
import { noblePrimitives as primitives } from "../crypto/primitives.ts";
import { parseCertificatePem, publicKeyOf } from "../crypto/x509.ts";
import { MerkleTree } from "../merkle/tree.ts";
import { ledgerDirectories, readEntries } from "../../tests/services.ts";
import { teamTest } from "../../tests/team_data.ts";
import { LedgerEntry } from "./entry.ts";
import {
  buildSignatureWriteSet,
  isSignature,
  parseCoseSignature,
  parseNodeSignature,
  parseSignatureTables,
  serialiseCoseSignature,
  serialiseNodeSignature,
  verifyNodeSignature,
} from "./signature.ts";

/** The same bytes on every run. */
function seededRandom(seed: number): (length: number) => Uint8Array {
  let counter = 0;
  return (length) => {
    const out = new Uint8Array(length);
    for (let at = 0; at < length; at += 32) {
      out.set(primitives.sha256(toUtf8(`${seed} ${counter++}`)).subarray(0, length - at), at);
    }
    return out;
  };
}

function exampleWriteSet() {
  const nodeKey = generateEcPrivateKey("P-384", seededRandom(1));
  const serviceKey = generateEcPrivateKey("P-256", seededRandom(2));
  const tree = new MerkleTree(primitives);
  for (let n = 1; n < 7; n++) tree.append(new Uint8Array(32).fill(n));
  const node = { id: nodeIdOf(nodeKey.publicKey.spki), key: nodeKey, endorsedCertificatePem: "-----BEGIN…\n" };
  const writeSet = buildSignatureWriteSet({
    view: 2,
    seqno: 7,
    root: tree.root(),
    serialisedTree: tree.serialise(),
    node,
    service: { key: serviceKey },
    issuedAtSeconds: 1_700_000_000,
    issuer: "service.example.com",
    subject: "",
  });
  return { writeSet, tree, node, nodeKey, serviceKey };
}

Deno.test("buildSignatureWriteSet() signs the root with both keys, and parseSignatureTables() reads it back", () => {
  const { writeSet, tree, node, nodeKey, serviceKey } = exampleWriteSet();
  assert.deepEqual(writeSet.privateTables, []);
  assert.equal(isSignature(writeSet.publicTables), true);
  const signature = parseSignatureTables(writeSet.publicTables);
  assert.equal(signature.nodeSignature.nodeId, node.id);
  assert.deepEqual(signature.nodeSignature.txId, { view: 2, seqno: 7 });
  assert.equal(toHex(signature.nodeSignature.root), toHex(tree.root()));
  assert.equal(signature.nodeSignature.certificatePem, node.endorsedCertificatePem);
  const bytes = signature.nodeSignature.signature;
  assert.equal(verifyNodeSignature(primitives, nodeKey.publicKey, tree.root(), bytes), true);
  assert.equal(verifyNodeSignature(primitives, nodeKey.publicKey, new Uint8Array(32), bytes), false);
  assert.equal(verifyNodeSignature(primitives, serviceKey.publicKey, tree.root(), bytes), false);
  assert.deepEqual(parseLedgerSignatureHeader(signature.coseSignature!), {
    curve: "P-256",
    keyId: nodeIdOf(serviceKey.publicKey.spki),
    issuedAtSeconds: 1_700_000_000,
    issuer: "service.example.com",
    subject: "",
    txId: { view: 2, seqno: 7 },
  });
  assert.equal(verifyCoseSign1(primitives, serviceKey.publicKey, signature.coseSignature!, tree.root()), true);
  assert.equal(toHex(MerkleTree.parse(primitives, signature.serialisedTree).root()), toHex(tree.root()));
});

Deno.test("parseSignatureTables() takes the tables of a signature and no others", () => {
  const { publicTables } = exampleWriteSet().writeSet;
  const [cose, node, tree] = publicTables as [typeof publicTables[0], typeof publicTables[0], typeof publicTables[0]];
  assert.equal(parseSignatureTables([node, tree]).coseSignature, undefined);
  const other = { name: "public:records", writes: [], removes: ["a"] };
  const table: [typeof publicTables, string][] = [
    [[node], `Cannot read a signature transaction: its tables are ["public:ccf.internal.signatures"]`],
    [
      [cose, node, tree, other],
      `Cannot read a signature transaction: its tables are ["public:ccf.internal.cose_signatures","public:ccf.internal.signatures","public:ccf.internal.tree","public:records"]`,
    ],
    [
      [cose, tree],
      `Cannot read a signature transaction: its tables are ["public:ccf.internal.cose_signatures","public:ccf.internal.tree"]`,
    ],
    [
      [node, { ...tree, removes: ["x"] }],
      `Cannot read the changes to table "public:ccf.internal.tree": they must be one value`,
    ],
    [
      [{ ...node, writes: [["key", node.writes[0]![1]]] }, tree],
      `Cannot read the changes to table "public:ccf.internal.signatures": they must be one value`,
    ],
  ];
  for (const [tables, message] of table) {
    assert.throws(() => parseSignatureTables(tables), { name: "FormatError", message });
  }
});

Deno.test("parseNodeSignature() refuses a root of another length and a value of another shape", () => {
  const good = `{"node":"ab","root":"${"00".repeat(32)}","seqno":1,"sig":"","view":2}`;
  assert.equal(parseNodeSignature(toUtf8(good)).certificatePem, undefined);
  const table: [string, string][] = [
    [good.replace("0000", "00"), "Cannot read a node's signature: its root has 31 bytes"],
    [good.replace(`"seqno":1`, `"seqno":-1`), `Cannot read JSON at "/seqno": it must be a whole number from 0`],
    ["[]", `Cannot read JSON at "": it must be an object`],
  ];
  for (const [json, message] of table) {
    assert.throws(() => parseNodeSignature(toUtf8(json)), { name: "FormatError", message });
  }
});

Deno.test("parseCoseSignature() reads the worked example, a JSON string around base64", () => {
  // ledger-and-receipts.md §6.2: 2.27 of a real ledger.
  const bytes = fromHex(
    "d284588ca5013822045840323564376663303661353138303635626130326434353132306533633534653630623466333761" +
      "3530663537396635656232613337366239613163343532623519018b020fa3061a681ca43e0173736572766963652e657861" +
      "6d706c652e636f6d02706c65646765722e7369676e6174757265666363662e7631a1647478696464322e3237a0f658603f1e" +
      "73e2fa4038fdcda3b85ae13a300dea669024cc8366dfbaa44f3858016170b4b8e52db088a002e9bbbcb914d2beaf4099edc5" +
      "aa3b7f48829dfffed24b71f2055927ac70c81f7dfa3464bf0e74183afbd1163936838927cd5722217a2d4d93",
  );
  const value = toUtf8(JSON.stringify(toBase64(bytes)));
  const message = parseCoseSignature(value);
  assert.deepEqual(parseLedgerSignatureHeader(message), {
    curve: "P-384",
    keyId: "25d7fc06a518065ba02d45120e3c54e60b4f37a50f579f5eb2a376b9a1c452b5",
    issuedAtSeconds: 1746707518,
    issuer: "service.example.com",
    subject: "ledger.signature",
    txId: { view: 2, seqno: 27 },
  });
  assert.equal(message.payload, undefined);
  assert.deepEqual(serialiseCoseSignature(message), value);
});

Deno.test("decoders of signature values parse any changed value or throw FormatError", () => {
  const { publicTables } = exampleWriteSet().writeSet;
  const [cose, node] = [publicTables[0]!.writes[0]![1], publicTables[1]!.writes[0]![1]];
  fc.assert(
    fc.property(fc.constantFrom(cose, node), fc.nat(200), fc.nat(255), (value, at, byte) => {
      const changed = value.slice();
      changed[at % changed.length] = byte;
      for (const parse of [parseNodeSignature, parseCoseSignature]) {
        try {
          parse(changed);
        } catch (error) {
          if (!(error instanceof FormatError)) throw error;
        }
      }
    }),
    { numRuns: 500 },
  );
});

teamTest("every signature of the real ledgers is written again byte for byte, and its node key signed the root", () => {
  let signatures = 0;
  for (const directory of ledgerDirectories()) {
    for (const bytes of readEntries(directory)) {
      const tables = LedgerEntry.parse(bytes).publicTables();
      if (!isSignature(tables)) continue;
      const { nodeSignature, nodeSignatureBytes, coseSignature } = parseSignatureTables(tables);
      assert.deepEqual(serialiseNodeSignature(nodeSignature), nodeSignatureBytes.slice());
      if (coseSignature !== undefined) {
        assert.deepEqual(serialiseCoseSignature(coseSignature), tables[0]!.writes[0]![1].slice());
      }
      signatures++;
      if (nodeSignature.certificatePem === undefined || signatures % 20 !== 0) continue; // each check takes 2 ms
      const key = publicKeyOf(parseCertificatePem(nodeSignature.certificatePem));
      assert.ok(key.kind === "EC" && nodeIdOf(key.spki) === nodeSignature.nodeId);
      assert.ok(verifyNodeSignature(primitives, key, nodeSignature.root, nodeSignature.signature));
    }
  }
  assert.ok(signatures > 500, `${signatures} signatures`);
});
