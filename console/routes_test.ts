import { strict as assert } from "node:assert";
import { linkTo, PAGE_LIST, parseRoute } from "./routes.ts";

Deno.test("parseRoute() reads what linkTo() writes, whatever stands in it", () => {
  const id = "a/b?c=d#e 2.15 \u202e";
  const route = parseRoute(linkTo("transaction", id, { from: 12, table: "public:x&y=z", none: undefined, empty: "" }))!;
  assert.equal(route.page, "transaction");
  assert.equal(route.id, id);
  assert.deepEqual([...route.query], [["from", "12"], ["table", "public:x&y=z"]]);
});

Deno.test("parseRoute() knows no page where there is none", () => {
  for (const text of ["", "#", "#/", "#/nowhere", "#/__proto__", "#/constructor", "#/transaction/%zz"]) {
    assert.equal(parseRoute(text), undefined, text);
  }
});

Deno.test("no two pages have the same letter", () => {
  const letters = PAGE_LIST.flatMap(([, { letter }]) => letter ?? []);
  assert.equal(new Set(letters).size, letters.length);
});
