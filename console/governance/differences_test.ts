import { strict as assert } from "node:assert";
import { fromByteString, toByteString, toUtf8 } from "../../shared/bytes.ts";
import { SINGLETON_KEY } from "../../shared/kv/codecs.ts";
import { CERT } from "../../getting_started/constitution_tests/cases.ts";
import { memberIdOf } from "../../shared/crypto/identifiers.ts";
import { parsePemBlock } from "../../shared/crypto/pem.ts";
import { differencesOf } from "./differences.ts";

const ONLY = SINGLETON_KEY;
const GOV = "public:ccf.gov.";

/** Tables of text, as the worker would answer. */
function ledgerOf(tables: Readonly<Record<string, Readonly<Record<string, string>>>>) {
  const rowsOf = (name: string) =>
    Object.entries(tables[name] ?? {}).map(([key, value]) => ({
      key: fromByteString(key),
      value: toUtf8(value),
      writtenAt: 3,
    }));
  return {
    table: (name: string) =>
      Promise.resolve({ total: rowsOf(name).length, rows: rowsOf(name), proof: "verified" as const }),
    value: (name: string, key: Uint8Array) =>
      Promise.resolve(rowsOf(name).find((row) => toByteString(row.key) === toByteString(key))),
  };
}

Deno.test("differencesOf() holds a new constitution against the one in force", async () => {
  const ledger = ledgerOf({ [`${GOV}constitution`]: { [ONLY]: '"old"' } });
  const found = await differencesOf(ledger, [{ name: "set_constitution", args: { constitution: "new" } }]);
  assert.deepEqual(found, [{ what: "Constitution", language: "javascript", before: "old", after: "new" }]);
  assert.deepEqual(await differencesOf(ledger, [{ name: "set_constitution", args: { constitution: "old" } }]), []);
});

Deno.test("differencesOf() changes some settings and leaves the others", async () => {
  const ledger = ledgerOf({ [`${GOV}service.config`]: { [ONLY]: '{"recovery_threshold":2,"consensus":"CFT"}' } });
  const [found] = await differencesOf(ledger, [{ name: "set_recovery_threshold", args: { recovery_threshold: 3 } }]);
  assert.deepEqual(JSON.parse(found!.before!), { recovery_threshold: 2, consensus: "CFT" });
  assert.deepEqual(JSON.parse(found!.after!), { recovery_threshold: 3, consensus: "CFT" });
});

Deno.test("differencesOf() tells modules and endpoints of an app apart, however their members are ordered", async () => {
  const endpoint = { js_module: "a.js", js_function: "f", forwarding_required: "never", mode: "readonly" };
  const stored = '{"forwarding_required":"never","js_function":"f","js_module":"/a.js","mode":"readonly"}';
  const ledger = ledgerOf({
    [`${GOV}modules`]: { "/a.js": "same", "/gone.js": "x" },
    [`${GOV}endpoints`]: { "GET /a": stored },
  });
  const bundle = {
    metadata: { endpoints: { "/a": { get: endpoint } } },
    modules: [{ name: "a.js", module: "same" }, { name: "new.js", module: "y" }],
  };
  const found = await differencesOf(ledger, [{ name: "set_js_app", args: { bundle } }]);
  assert.deepEqual(found.map(({ what, before, after }) => [what, before, after]), [
    ["Module /gone.js", "x", undefined],
    ["Module /new.js", undefined, "y"],
  ]);
});

Deno.test("differencesOf() knows a member by its certificate", async () => {
  const id = memberIdOf(parsePemBlock(CERT, "CERTIFICATE"));
  const ledger = ledgerOf({ [`${GOV}members.info`]: { [id]: '{"status":"Active","member_data":{"name":"A"}}' } });
  const [found] = await differencesOf(ledger, [{
    name: "set_member",
    args: { cert: CERT, member_data: { name: "B" } },
  }]);
  assert.equal(found!.what, `Member ${id.slice(0, 8)}…`);
  assert.match(found!.before!, /Active/);
  assert.match(found!.after!, /Accepted/);
});

Deno.test("differencesOf() says nothing of what it cannot tell, whatever the arguments are", async () => {
  const ledger = ledgerOf({});
  for (const args of [undefined, null, 7, "x", [], {}, { cert: 5 }, { bundle: { modules: [null], metadata: 3 } }]) {
    for (const name of ["set_member", "set_user", "set_js_app", "remove_member", "set_jwt_issuer", "custom"]) {
      assert.ok(Array.isArray(await differencesOf(ledger, [{ name, args }])), `${name} ${JSON.stringify(args)}`);
    }
  }
});
