import { strict as assert } from "node:assert";
import { canonicalModuleName, importedModuleName } from "./module_names.ts";

Deno.test("importedModuleName() joins a relative specifier to the importing module's folder", () => {
  const table: readonly (readonly [base: string, specifier: string, name: string])[] = [
    ["/a/b.js", "./x.js", "/a/x.js"],
    ["/a/b.js", "../x.js", "/x.js"],
    ["/a/b/c.js", "../../x.js", "/x.js"],
    ["/a/b.js", "../../x.js", "/../x.js"],
    ["/a/b.js", "././x.js", "/a/x.js"],
    ["/a/b.js", "./c/../x.js", "/a/c/../x.js"],
    ["/b.js", "./x.js", "/x.js"],
    ["/a/b.js", "x.js", "/x.js"],
    ["/a/b.js", "/x.js", "/x.js"],
    ["/a/b.js", "npm/x", "/npm/x"],
    ["/a/b.js", ".x", "/a/.x"],
  ];
  for (const [base, specifier, name] of table) {
    assert.equal(importedModuleName(base, specifier, true), name);
    assert.equal(importedModuleName(base.slice(1), specifier, false), name.slice(1));
  }
});

Deno.test("canonicalModuleName() has one slash in front, or none", () => {
  assert.deepEqual(["a.js", "/a.js"].map((name) => canonicalModuleName(name, true)), ["/a.js", "/a.js"]);
  assert.deepEqual(["a.js", "/a.js"].map((name) => canonicalModuleName(name, false)), ["a.js", "a.js"]);
});
