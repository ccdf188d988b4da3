import { strict as assert } from "node:assert";
import { callableFromPage, fillPath, parametersOf, policiesText, splitKey } from "./app_facts.ts";

const properties = (authn_policies: (string | { all_of: string[] })[]) => ({
  js_module: "a.js",
  js_function: "f",
  forwarding_required: "always" as const,
  authn_policies,
});

Deno.test("policiesText() says who may call", () => {
  assert.equal(policiesText(properties([])), "anybody");
  assert.equal(policiesText(properties(["user_cert", "jwt"])), "a user, by certificate, or whoever has a token (JWT)");
  assert.equal(
    policiesText(properties([{ all_of: ["user_cert", "jwt"] }])),
    "all of: a user, by certificate and whoever has a token (JWT)",
  );
  assert.equal(policiesText(properties(["made_up"])), "made_up");
});

Deno.test("callableFromPage() knows that a page has no client certificate", () => {
  assert.equal(callableFromPage(properties(["user_cert"])), false);
  assert.equal(callableFromPage(properties([{ all_of: ["user_cert", "jwt"] }])), false);
  assert.equal(callableFromPage(properties(["user_cert", "no_auth"])), true);
});

Deno.test("fillPath() leaves no way out of a parameter", () => {
  assert.deepEqual(parametersOf("/log/{id}/of/{name}"), ["id", "name"]);
  assert.equal(fillPath("/log/{id}/of/{name}", { id: "../x?y", name: "ä" }), "/log/..%2Fx%3Fy/of/%C3%A4");
});

Deno.test("splitKey() reads the keys of the table of endpoints", () => {
  assert.deepEqual(splitKey("GET /log/{id}"), { method: "GET", path: "/log/{id}" });
  assert.deepEqual(splitKey("/odd"), { method: "", path: "/odd" });
});
