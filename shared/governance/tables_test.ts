import { strict as assert } from "node:assert";
import { fuzzDecoder, mutated } from "../../tests/mutations.ts";
import { ledgerDirectories, readEntries } from "../../tests/services.ts";
import { teamTest } from "../../tests/team_data.ts";
import { fromUtf8, toUtf8 } from "../bytes.ts";
import { raw, SINGLETON_KEY } from "../kv/codecs.ts";
import { Store } from "../kv/store.ts";
import type { Singleton, Table } from "../kv/table.ts";
import { categoryOf, domainOf } from "../kv/table_name.ts";
import type { TableWrites } from "../kv/write_set.ts";
import { LedgerEntry } from "../ledger/entry.ts";
import * as tables from "./tables.ts";

type AnyTable = Table<string, unknown> | Singleton<unknown>;

const all = Object.values(tables) as AnyTable[];
const byName = new Map(all.map((table) => [table.name, table]));

/** 1.x kept one number here, for itself. */
const FORGOTTEN = ["public:ccf.internal.values"];

/**
 * Tables that the scripts of the constitution write, by `JSON.stringify`, in the order in which members came; C++ writes
 * most of them too.
 */
const WRITTEN_BY_SCRIPTS: readonly string[] = [
  tables.ENDPOINTS,
  tables.JS_RUNTIME_OPTIONS,
  tables.JWT_ISSUERS,
  tables.MEMBERS_INFO,
  tables.NODES_INFO,
  tables.SERVICE_CONFIG,
  tables.SNP_TCB_VERSIONS,
].map(({ name }) => name);

function* realChanges(): Generator<{ where: string; changes: TableWrites; isGoverned: boolean }> {
  for (const directory of ledgerDirectories()) {
    for (const bytes of readEntries(directory)) {
      const entry = LedgerEntry.parse(bytes);
      const publicTables = entry.publicTables();
      const isGoverned = publicTables.some(({ name }) => name === tables.PROPOSALS_INFO.name);
      for (const changes of publicTables) {
        if (categoryOf(changes.name) === "application") continue;
        yield { where: `${directory.name} ${entry.seqno} ${changes.name}`, changes, isGoverned };
      }
    }
  }
}

Deno.test("every table is public, the service's own, and named once", () => {
  for (const { name } of all) {
    assert.equal(domainOf(name), "public");
    assert.ok(["governance", "internal"].includes(categoryOf(name)!), name);
  }
  assert.equal(byName.size, all.length);
});

teamTest(
  "every table of the service in the real ledgers is known, and each value is written again as C++ wrote it",
  () => {
    const seen = new Set<string>();
    const byScripts: string[] = [];
    let values = 0;
    for (const { where, changes, isGoverned } of realChanges()) {
      if (FORGOTTEN.includes(changes.name)) continue;
      const table = byName.get(changes.name);
      assert.ok(table !== undefined, where);
      seen.add(table.name);
      for (const [key, value] of changes.writes) {
        if ("key" in table) assert.equal(table.key.encode(table.key.decode(key)), key, where);
        else assert.equal(key, SINGLETON_KEY, where);
        const written = table.value.encode(table.value.decode(value));
        values++;
        if (fromUtf8Lossless(written) === fromUtf8Lossless(value)) continue;
        // What scripts wrote comes back with its members sorted, and is the same otherwise.
        assert.ok(isGoverned && WRITTEN_BY_SCRIPTS.includes(table.name), where);
        assert.equal(JSON.stringify(JSON.parse(fromUtf8(value))), fromUtf8(value), where);
        assert.deepEqual(JSON.parse(fromUtf8(written)), JSON.parse(fromUtf8(value)), where);
        byScripts.push(table.name);
      }
      if (!("key" in table)) assert.ok(changes.removes.every((key) => key === SINGLETON_KEY), where);
    }
    assert.ok(values > 4000 && seen.size > 45, `${values} values of ${seen.size} tables`);
    assert.deepEqual([...new Set(byScripts)].sort(), WRITTEN_BY_SCRIPTS.toSorted());
  },
);

teamTest("a service's state, replayed from a real ledger, is read through typed tables", () => {
  const store = new Store();
  const directory = ledgerDirectories().find(({ name }) => name === "recorded_governance")!;
  for (const bytes of readEntries(directory)) {
    const entry = LedgerEntry.parse(bytes);
    store.apply(entry.seqno, { publicTables: entry.publicTables(), privateTables: [] });
  }
  const tx = store.beginReadOnly();
  for (const table of all) {
    if ("key" in table) assert.equal([...tx.open(table).entries()].length, tx.open(table).size);
    else assert.equal(tx.open(table).has(), tx.open(table).get() !== undefined);
  }
  const service = tx.open(tables.SERVICE_INFO).get()!;
  assert.equal(service.status, "Open");
  assert.match(service.cert, /^-----BEGIN CERTIFICATE-----\n/);
  const [[nodeId, node]] = [...tx.open(tables.NODES_INFO).entries()] as [[string, tables.NodeInfo]];
  assert.equal(tx.open(tables.SIGNATURES).get()!.node, nodeId);
  assert.equal(node.quote_info.format, "Insecure_Virtual");
  const active = [...tx.open(tables.MEMBERS_INFO).entries()].filter(([, { status }]) => status === "Active");
  const { recovery_threshold } = tx.open(tables.SERVICE_CONFIG).get()!;
  assert.ok(active.length >= recovery_threshold && recovery_threshold > 0);
  for (const [, { authn_policies, mode }] of tx.open(tables.ENDPOINTS).entries()) {
    assert.ok(Array.isArray(authn_policies) && mode !== undefined);
  }
});

/** Bytes as text that compares equal only where they do. */
function fromUtf8Lossless(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
}

Deno.test("values of every kind are written as ledger-and-receipts.md §10 shows them", () => {
  const tx = new Store().begin();
  const id = "a".repeat(64);
  tx.open(tables.MEMBERS_INFO).put(id, { status: "Active", recovery_role: "Owner", member_data: { b: 1, a: 2 } });
  tx.open(tables.SERVICE_CONFIG).put({ recovery_threshold: 2, maximum_node_certificate_validity_days: 365 });
  tx.open(tables.COSE_HISTORY).put(id, Uint8Array.of(0xd2, 0x84));
  tx.open(tables.VIRTUAL_HOST_DATA).put(id, undefined);
  tx.open(tables.PREVIOUS_SERVICE_LAST_SIGNED_ROOT).put(Uint8Array.of(0x91, 0xbd));
  tx.open(tables.ENCRYPTED_LEDGER_SECRETS).put({ [id]: [{ version: null, encrypted_secret: "AA==" }] });
  tx.open(tables.INTERPRETER_FLUSH).put(true);
  tx.open(tables.MODULES).put("/é.js", "export {}");
  tx.open(tables.LAST_RECOVERY_TYPE).put("None");
  const written = tx.writeSet().publicTables.map(({ name, writes: [write] }) => [name, write![0], fromUtf8(write![1])]);
  assert.deepEqual(written, [
    ["public:ccf.gov.cose_history", id, '"0oQ="'],
    ["public:ccf.gov.interpreter.flush", SINGLETON_KEY, "true"],
    ["public:ccf.gov.members.info", id, '{"member_data":{"a":2,"b":1},"recovery_role":"Owner","status":"Active"}'],
    ["public:ccf.gov.modules", "/\xc3\xa9.js", "export {}"],
    ["public:ccf.gov.nodes.virtual.host_data", id, "\0".repeat(8)],
    [
      "public:ccf.gov.service.config",
      SINGLETON_KEY,
      '{"maximum_node_certificate_validity_days":365,"recovery_threshold":2}',
    ],
    [
      "public:ccf.internal.encrypted_ledger_secrets",
      SINGLETON_KEY,
      `{"${id}":[{"encrypted_secret":"AA==","version":null}]}`,
    ],
    ["public:ccf.internal.last_recovery_type", SINGLETON_KEY, '"None"'],
    ["public:ccf.internal.previous_service_last_signed_root", SINGLETON_KEY, '"91bd"'],
  ]);
});

Deno.test("members that no type names are kept, and null where something is optional is nothing", () => {
  const text = '{"acme":{"x":1},"encryption_pub_key":"k","node_data":null,' +
    '"quote_info":{"endorsements":"","format":"Insecure_Virtual","newer":[1],"quote":[104,105]},"status":"Pending"}';
  const info = tables.NODES_INFO.value.decode(toUtf8(text));
  assert.equal(info.node_data, undefined);
  assert.equal(
    fromUtf8(tables.NODES_INFO.value.encode({ ...info, status: "Trusted" })),
    '{"acme":{"x":1},"encryption_pub_key":"k",' +
      '"quote_info":{"endorsements":"","format":"Insecure_Virtual","newer":[1],"quote":"aGk="},"status":"Trusted"}',
  );
});

Deno.test("values that cannot be used are refused, with the place", () => {
  const table: readonly (readonly [Singleton<unknown> | Table<string, unknown>, string, string, string])[] = [
    [tables.MEMBERS_INFO, '{"status":"Gone"}', "/status", "one of Accepted, Active"],
    [tables.SERVICE_CONFIG, '{"recovery_threshold":-1}', "/recovery_threshold", "a whole number from 0"],
    [tables.PROPOSALS_INFO, '{"proposer_id":"x","state":"Open"}', "/ballots", "an object"],
    [
      tables.ENDPOINTS,
      '{"js_module":"/a","js_function":"f"}',
      "/forwarding_required",
      "one of sometimes, always, never",
    ],
    [tables.JWT_PUBLIC_SIGNING_KEYS_METADATA_V2, '[{"issuer":"x"}]', "/0/public_key", "base64"],
    [
      tables.NODES_INFO,
      '{"quote_info":{}}',
      "/quote_info/format",
      "one of OE_SGX_v1, Insecure_Virtual, AMD_SEV_SNP_v1, Intel_TDX_v1, Intel_SGX_DCAP_v1",
    ],
    [tables.CONSTITUTION, "null", "", "text"],
  ];
  for (const [{ value }, text, at, expected] of table) {
    assert.throws(() => value.decode(toUtf8(text)), {
      name: "FormatError",
      message: `Cannot read JSON at "${at}": it must be ${expected}`,
    });
  }
});

Deno.test("values of changed bytes are read, or throw FormatError", () => {
  const samples = [
    '{"ballots":{"a":"x"},"final_votes":{"a":true},"proposer_id":"a","state":"Open","vote_failures":{"a":{"reason":"r"}}}',
    '{"cert":"c","current_service_create_txid":"2.1","recovery_count":0,"status":"Open"}',
    '[{"constraint":"c","issuer":"i","public_key":"AA=="}]',
    '"AAEC"',
    "\0".repeat(8),
  ].map(toUtf8);
  for (const { value } of all) {
    if (value === raw) continue; // takes anything
    fuzzDecoder(mutated(...samples), (bytes) => value.decode(bytes), (decoded) => value.encode(decoded as never), 100);
  }
});
