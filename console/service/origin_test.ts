import { strict as assert } from "node:assert";
import { isRelayPlace } from "./origin.ts";

Deno.test("a page is the relay's only where the relay can be: a link with a token makes no other page say so", () => {
  for (const url of ["http://127.0.0.1:8080/#/connect?relay=ab", "http://localhost:8080/"]) {
    assert.ok(isRelayPlace(new URL(url)), url);
  }
  for (
    const url of [
      "https://127.0.0.1:9000/console/#/connect?relay=ab",
      "https://node.example/console/#/connect?relay=ab",
      "http://127.0.0.1.example/#/connect?relay=ab",
      "file:///tmp/console.html#/connect?relay=ab",
    ]
  ) assert.ok(!isRelayPlace(new URL(url)), url);
});
