import { strict as assert } from "node:assert";
import { fromBase64, fromUtf8 } from "../../bytes.ts";
import { noblePrimitives as primitives } from "../../crypto/primitives.ts";
import type { WriteSet } from "../../kv/write_set.ts";
import { MerkleTree } from "../../merkle/tree.ts";
import { assertRefused, findingsIn } from "../../../tests/ledger_failures.ts";
import { base64Json, LedgerForge, one, tableWrites } from "../../../tests/ledger_forge.ts";
import { FORCE_CHUNK_AFTER, FORCE_CHUNK_BEFORE } from "../entry.ts";
import { COSE_SIGNATURES, NODES_INFO, SIGNATURES, TREE } from "../table_names.ts";

/** The write set of a signature with one table changed, or without it. */
function editing(name: string, edit: ((value: Uint8Array) => Uint8Array | string) | undefined) {
  return (writeSet: WriteSet): WriteSet => ({
    privateTables: [],
    publicTables: writeSet.publicTables.flatMap((table) => {
      if (table.name !== name) return [table];
      return edit === undefined ? [] : tableWrites({ [name]: one(edit(table.writes[0]![1])) });
    }),
  });
}

function editingJson(name: string, edit: (text: string) => string) {
  return editing(name, (value) => edit(fromUtf8(value)));
}

Deno.test("a replay refuses a signature that is not that of a trusted node over the ledger before it", () => {
  assertRefused(primitives, [
    [
      /^3: The transactions before lead to root [0-9a-f]{64}, and the signature is over (05){32}$/,
      (forge) => forge.genesis().sign({ root: new Uint8Array(32).fill(5) }),
    ],
    [/^2: Node "[0-9a-f]{64}" did not sign root [0-9a-f]{64}$/, (forge) => {
      const other = forge.makeNode(forge.service);
      forge.write(forge.genesisChanges());
      forge.sign({ node: { ...forge.node, key: other.key, endorsedCertificatePem: forge.node.certificatePem } });
    }],
    [`2: Node "nobody" signs, and is not known`, (forge) => {
      forge.write(forge.genesisChanges());
      forge.sign({ node: { ...forge.node, id: "nobody", endorsedCertificatePem: forge.node.certificatePem } });
    }],
    [/^4: Node "[0-9a-f]{64}" signs, and is "Pending"$/, (forge) => {
      forge.genesis();
      forge.write({ [NODES_INFO]: { [forge.node.id]: forge.nodeInfo(forge.node, "Pending") } });
      forge.sign();
    }],
    [/^4: Node "[0-9a-f]{64}" signs, and has no certificate$/, (forge) => {
      const other = forge.makeNode(forge.service);
      forge.genesis();
      forge.write({ [NODES_INFO]: { [other.id]: forge.nodeInfo(other, "Trusted") } });
      forge.node = other;
      forge.sign();
    }],
    [/^2: The certificate beside the signature is not for the key of node "[0-9a-f]{64}"$/, (forge) => {
      const other = forge.makeNode(forge.service);
      forge.write(forge.genesisChanges());
      forge.sign({ node: { ...forge.node, endorsedCertificatePem: other.certificatePem } });
    }],
    ["2: The signature says it is transaction 2.7", (forge) => {
      forge.write(forge.genesisChanges());
      forge.sign({}, editingJson(SIGNATURES, (json) => json.replace(`"seqno":2`, `"seqno":7`)));
    }],
    ["2: The node's signature is not written as a current node writes it", (forge) => {
      forge.write(forge.genesisChanges());
      forge.sign({}, editingJson(SIGNATURES, (json) => json.replace(`,"view"`, `, "view"`)));
    }],
    ["2: The node's signature is not written as a current node writes it", (forge) => {
      forge.write(forge.genesisChanges());
      forge.sign({}, editingJson(SIGNATURES, (json) => json.replace(`"commit_seqno":0`, `"commit_seqno":1`)));
    }],
    ["2: The signature does not bring the node's certificate", (forge) => {
      forge.write(forge.genesisChanges());
      forge.sign({}, editingJson(SIGNATURES, (json) => json.replace(/"cert":"[^"]*",/, "")));
    }],
  ]);
});

Deno.test("a replay refuses a certificate beside a signature that another service endorsed", () => {
  const forge = new LedgerForge(primitives).genesis();
  const impostor = new LedgerForge(primitives, "impostor");
  const foreign = impostor.endorse(forge.node.key, impostor.service);
  forge.sign({ node: { ...forge.node, endorsedCertificatePem: foreign.certificatePem } });
  const [finding] = findingsIn(primitives, forge.entries);
  assert.equal(
    finding?.reason,
    `The service did not endorse the certificate beside the signature of node "${forge.node.id}"`,
  );
});

Deno.test("a replay refuses a COSE signature that is not the service's own for this transaction", () => {
  const impostor = new LedgerForge(primitives, "impostor");
  assertRefused(primitives, [
    ["2: The service's own COSE signature is missing", (forge) => {
      forge.write(forge.genesisChanges());
      forge.sign({}, editing(COSE_SIGNATURES, undefined));
    }],
    [/^2: The COSE signature names the key [0-9a-f]{64}, and the service's is [0-9a-f]{64}$/, (forge) => {
      forge.write(forge.genesisChanges());
      forge.sign({ service: impostor.service });
    }],
    [/^4: The COSE signature says it is transaction 2.2$/, (forge) => {
      let earlier: Uint8Array | undefined;
      forge.write(forge.genesisChanges());
      forge.sign({}, editing(COSE_SIGNATURES, (value) => earlier = value));
      forge.write({ records: { a: "b" } });
      forge.sign({}, editing(COSE_SIGNATURES, () => earlier!));
    }],
    [/^2: The service did not make the COSE signature over root [0-9a-f]{64}$/, (forge) => {
      forge.write(forge.genesisChanges());
      forge.sign(
        {},
        editing(COSE_SIGNATURES, (value) => {
          const message = fromBase64(JSON.parse(fromUtf8(value)));
          message[message.length - 1]! ^= 1;
          return base64Json(message);
        }),
      );
    }],
    ["2: Cannot read a COSE_Sign1 message: it is not an array", (forge) => {
      forge.write(forge.genesisChanges());
      forge.sign({}, editing(COSE_SIGNATURES, () => `"0gA="`));
    }],
    [`3: The transaction changes table ${COSE_SIGNATURES}, and is no signature`, (forge) => {
      forge.genesis().write({ [COSE_SIGNATURES]: one(`"0gA="`) });
    }],
    [`3: The transaction changes table ${TREE}, and is no signature`, (forge) => {
      forge.genesis().write({ [TREE]: one("") });
    }],
  ]);
});

Deno.test("a replay refuses a serialised tree that is not this ledger's", () => {
  const treeOf = (forge: LedgerForge, edit: (bytes: Uint8Array) => void) => {
    forge.write(forge.genesisChanges());
    forge.sign(
      {},
      editing(TREE, (value) => {
        const changed = value.slice();
        edit(changed);
        return changed;
      }),
    );
  };
  assertRefused(primitives, [
    [
      "2: The serialised tree is not the one that the transactions before lead to",
      (forge) => treeOf(forge, (bytes) => bytes[20]! ^= 1),
    ],
    ["2: The serialised tree ends before 3, and the signature is at 2", (forge) => {
      forge.write(forge.genesisChanges());
      const longer = new MerkleTree(primitives);
      for (let n = 1; n < 3; n++) longer.append(new Uint8Array(32));
      forge.sign({ serialisedTree: longer.serialise() });
    }],
    ["2: Cannot parse a Merkle tree: it has no leaves", (forge) => treeOf(forge, (bytes) => bytes.fill(0, 0, 8))],
  ]);
});

Deno.test("a replay refuses a signature transaction that does anything else", () => {
  assertRefused(primitives, [
    ["2: The signature transaction changes private tables", (forge) => {
      forge.write(forge.genesisChanges());
      forge.sign({}, (writeSet) => ({ ...writeSet, privateTables: tableWrites({ records: { a: "b" } }) }));
    }],
    [
      `2: Cannot read a signature transaction: its tables are ${
        JSON.stringify(["public:a", COSE_SIGNATURES, SIGNATURES, TREE])
      }`,
      (forge) => {
        forge.write(forge.genesisChanges());
        forge.sign({}, ({ publicTables }) => ({
          publicTables: [...tableWrites({ "public:a": { a: "b" } }), ...publicTables],
          privateTables: [],
        }));
      },
    ],
    ["2: The signature transaction makes a claim", (forge) => {
      forge.write(forge.genesisChanges());
      forge.sign({}, (writeSet) => {
        forge.append(writeSet, { claimsDigest: new Uint8Array(32).fill(1) });
        return writeSet;
      });
    }],
    ["1: The first transaction creates no service", (forge) => forge.sign()],
  ]);
});

Deno.test("a replay refuses entries out of order, and views that begin where none can", () => {
  assertRefused(primitives, [
    ["3: The entry is transaction 2.4, and the one before is 2", (forge) => {
      forge.genesis().write({ records: { a: "b" } });
      forge.sign().entries.splice(2, 1);
    }],
    ["2: The entry is transaction 1.2, and the one before is of view 2", (forge) => {
      forge.write(forge.genesisChanges());
      forge.view = 1;
      forge.sign();
    }],
    ["1: The first transaction creates no service", (forge) => forge.write({ records: { a: "b" } })],
    ["1: The service begins in view 3, not 2", (forge) => {
      forge.view = 3;
      forge.write(forge.withCreated({ view: 3, seqno: 1 }).genesisChanges());
    }],
    ["4: View 3 begins behind transaction 2.3, which is no signature", (forge) => {
      forge.genesis().write({ records: { a: "b" } });
      forge.view = 3;
      forge.sign();
    }],
    ["3: View 3 begins with no signature", (forge) => {
      forge.genesis().view = 3;
      forge.write({ records: { a: "b" } });
    }],
    ["3: Another service begins in view 3, and a recovery goes on in 4", (forge) => {
      forge.genesis().view = 1;
      forge.write(forge.recoveryChanges(), { flags: FORCE_CHUNK_BEFORE });
    }],
  ]);
});

Deno.test("a replay accepts an election: the new view begins with a signature", () => {
  const forge = new LedgerForge(primitives).genesis();
  forge.view = 5;
  forge.sign();
  assert.deepEqual(findingsIn(primitives, forge.entries), []);
});

Deno.test("a replay refuses flags on transactions that cannot have them", () => {
  assertRefused(primitives, [
    ["3: The transaction ends its file, and is no signature", (forge) => {
      forge.genesis().write({ records: { a: "b" } }, { flags: FORCE_CHUNK_AFTER });
    }],
    ["3: The transaction begins a file, as its flags say", (forge) => {
      forge.genesis().write({ records: { a: "b" } }, { flags: FORCE_CHUNK_BEFORE });
    }],
    ["3: The recovered service does not begin a file, as its flags say", (forge) => {
      forge.genesis().write(forge.recoveryChanges());
    }],
  ]);
});

Deno.test("a replay that knows the secrets refuses what they did not seal", () => {
  assertRefused(primitives, [
    ["3: The entry was changed, or is not sealed with the ledger secret", (forge) => {
      forge.genesis().write({ records: { a: "b" } }, { key: new Uint8Array(32) });
    }],
    ["3: The commit evidence is not that of this transaction", (forge) => {
      forge.genesis().write({ records: { a: "b" } }, { commitEvidenceDigest: new Uint8Array(32) });
    }],
    [`3: Cannot read the changes to table "public:x": it stands in the wrong security domain`, (forge) => {
      forge.genesis().append({ publicTables: [], privateTables: tableWrites({ "public:x": { a: "b" } }) });
    }],
  ], "with secrets");
  const forge = new LedgerForge(primitives).genesis().open().rekey();
  forge.write({ records: { a: "b" } });
  forge.secrets.rollback(1);
  assert.equal(findingsIn(primitives, forge.entries, { secrets: forge.secrets })[0]?.kind, "failure");
});

Deno.test("a lenient replay lists a missing COSE signature and goes on", () => {
  const forge = new LedgerForge(primitives);
  forge.write(forge.genesisChanges());
  forge.sign({}, editing(COSE_SIGNATURES, undefined)).sign();
  assert.deepEqual(findingsIn(primitives, forge.entries, { mode: "lenient" }), [{
    kind: "deviation",
    seqno: 2,
    rule: "signature without COSE",
    reason: "The service's own COSE signature is missing",
  }]);
});
