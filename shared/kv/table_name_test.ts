import { strict as assert } from "node:assert";
import { MAX_TABLE_NAME_CHARACTERS } from "../limits.ts";
import { categoryOf, checkTableName, domainOf } from "./table_name.ts";

Deno.test("domainOf() and categoryOf() read a name as ledger-and-receipts.md §3.4 says", () => {
  const table = [
    ["records", "private", "application"],
    ["public:records", "public", "application"],
    ["", "private", "application"],
    ["public:", "public", "application"],
    ["Public:records", "private", "application"],
    ["ccf", "private", "application"],
    ["public:ccfgov.x", "public", "application"],
    ["public:ccf.gov.members.info", "public", "governance"],
    ["ccf.gov.members.info", "private", "governance"],
    ["public:ccf.internal.tree", "public", "internal"],
    ["ccf.internal.tree", "private", "internal"],
    ["ccf.", "private", undefined],
    ["public:ccf.gov", "public", undefined],
    ["public:ccf.internals.x", "public", undefined],
    ["public:public:ccf.x", "public", "application"],
  ] as const;
  for (const [name, domain, category] of table) {
    assert.equal(domainOf(name), domain, name);
    assert.equal(categoryOf(name), category, name);
  }
});

Deno.test("checkTableName() refuses reserved, overlong and broken names", () => {
  checkTableName("x".repeat(MAX_TABLE_NAME_CHARACTERS));
  const table = [
    ["public:ccf.x", 'Cannot use the table name "public:ccf.x": other names with "ccf." are reserved'],
    ["x".repeat(1025), "Cannot use a table name of 1025 characters: at most 1024"],
    ["a\ud800", "Cannot use a table name that holds half a surrogate pair"],
  ] as const;
  for (const [name, message] of table) assert.throws(() => checkTableName(name), { name: "FormatError", message });
});
