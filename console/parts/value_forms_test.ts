import { strict as assert } from "node:assert";
import fc from "fast-check";
import { toBase64, toUtf8 } from "../../shared/bytes.ts";
import { encodeCbor } from "../../shared/crypto/cbor.ts";
import { serialiseCoseSign1, withSignature } from "../../shared/crypto/cose.ts";
import { serialiseGovernanceRequestHeader } from "../../shared/crypto/cose_headers.ts";
import { LedgerEntry } from "../../shared/ledger/entry.ts";
import { mutated } from "../../tests/mutations.ts";
import { ledgerDirectories, readEntries } from "../../tests/services.ts";
import { teamTest } from "../../tests/team_data.ts";
import { prettyJson } from "./pretty_json.ts";
import { comparableText, FORM_WORDS, keyText, valueForm } from "./value_forms.ts";

const form = (text: string, table?: string) => valueForm(toUtf8(text), table);

const request = serialiseCoseSign1(withSignature(
  serialiseGovernanceRequestHeader({
    algorithm: -35,
    keyId: "ab".repeat(32),
    type: "proposal",
    createdAtSeconds: 1_700_000_000,
    proposalId: undefined,
  }),
  toUtf8('{"actions":[]}'),
  new Uint8Array(96),
));

Deno.test("JSON keeps the order of its keys, doubled keys and every digit", () => {
  const value = form('{"b":1,"2":12345678901234567890,"a":{"x":[]},"a":"\\u202e"}');
  assert.equal(
    value.kind === "json" && value.text,
    '{\n  "b": 1,\n  "2": 12345678901234567890,\n  "a": {\n    "x": []\n  },\n  "a": "\\u202e"\n}',
  );
});

Deno.test("prettyJson() writes the same value, and the same tokens", () => {
  fc.assert(fc.property(fc.jsonValue(), (value) => {
    const text = JSON.stringify(value);
    assert.deepEqual(JSON.parse(prettyJson(text)), JSON.parse(text));
    assert.equal(prettyJson(prettyJson(text)), prettyJson(text));
  }));
});

Deno.test("a constitution in a JSON string is source text, and so is a module", () => {
  const source = "export function validate(input) {\n  return { valid: true };\n}\n";
  for (const text of [JSON.stringify(source), source]) {
    assert.deepEqual(form(text, "public:ccf.gov.constitution"), { kind: "text", text: source, language: "javascript" });
  }
});

Deno.test("a request signed in COSE tells who signed what when, and its payload", () => {
  for (const bytes of [request, toUtf8(JSON.stringify(toBase64(request)))]) {
    const value = valueForm(bytes);
    assert.equal(value.kind, "cose");
    if (value.kind !== "cose") return;
    assert.deepEqual(Object.fromEntries(value.facts)["Algorithm"], "ES384 (-35)");
    assert.deepEqual(Object.fromEntries(value.facts)["Key ID"], { hash: "ab".repeat(32) });
    assert.deepEqual(Object.fromEntries(value.facts)["ccf.gov.msg.created_at"], { ms: 1_700_000_000_000 });
    assert.equal(value.payload?.kind, "json");
  }
});

Deno.test("CBOR is shown in diagnostic notation, but no text and no digest is taken for it", () => {
  const value = valueForm(
    encodeCbor(new Map<number | string, number | Uint8Array>([[1, 2], ["a", new Uint8Array([255])]])),
  );
  assert.deepEqual(value, { kind: "cbor", text: "{1: 2, \"a\": h'ff'}" });
  assert.equal(form("¡hola!").kind, "text");
  assert.equal(valueForm(new Uint8Array(32).fill(0x81)).kind, "bytes");
});

Deno.test("eight bytes are a number, nothing is said to be nothing, the rest is bytes", () => {
  assert.deepEqual(valueForm(new Uint8Array([1, 1, 0, 0, 0, 0, 0, 0])), { kind: "number", text: "257" });
  assert.equal(valueForm(new Uint8Array()).kind, "nothing");
  assert.equal(valueForm(new Uint8Array(8), "public:ccf.gov.nodes.virtual.host_data").kind, "nothing");
  assert.equal(valueForm(new Uint8Array([0, 255, 254])).kind, "bytes");
});

Deno.test("keys are text, numbers, or hex", () => {
  assert.equal(keyText(toUtf8("GET /log")), "GET /log");
  assert.equal(keyText(new Uint8Array(8)), "(the only one)");
  assert.equal(keyText(new Uint8Array([5, 0, 0, 0, 0, 0, 0, 0])), "5");
  assert.equal(keyText(new Uint8Array([255])), "0xff");
});

Deno.test("valueForm() finds a form for whatever it is given", () => {
  const samples = [
    request,
    toUtf8(JSON.stringify({ cert: "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n" })),
  ];
  fc.assert(
    fc.property(fc.oneof(mutated(...samples), fc.uint8Array()), (bytes) => {
      assert.ok(valueForm(bytes).kind in FORM_WORDS);
      assert.equal(typeof comparableText(bytes), "string");
    }),
    { numRuns: 500 },
  );
});

Deno.test("deep nesting ends", () => {
  const deep = '{"a":'.repeat(3000) + "1" + "}".repeat(3000);
  assert.equal(form(deep).kind, "json");
});

teamTest("values of the tables of real services have the forms that their tables say", () => {
  const kinds = new Map<string, Set<string>>();
  for (const directory of ledgerDirectories()) {
    for (const bytes of readEntries(directory)) {
      for (const { name: table, writes } of LedgerEntry.parse(bytes).publicTables()) {
        const seen = kinds.get(table) ?? new Set();
        kinds.set(table, seen);
        for (const [, value] of writes) seen.add(valueForm(value, table).kind);
      }
    }
  }
  // Services from before 2.0 wrote some tables in other forms.
  const has = (table: string, kind: string) => assert.ok(kinds.get(`public:ccf.${table}`)?.has(kind), table);
  has("gov.members.certs", "pem");
  has("gov.members.info", "json");
  has("gov.constitution", "text");
  has("gov.cose_history", "cose");
  has("internal.cose_signatures", "cose");
  has("internal.tree", "bytes");
  assert.deepEqual([...kinds.get("public:ccf.gov.cose_history")!], ["cose"]);
});
