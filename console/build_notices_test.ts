import { strict as assert } from "node:assert";
import { noticesOf, packagesOf } from "./build_notices.ts";

Deno.test("packagesOf() names each package once, whatever the bundler put around a module's path", () => {
  assert.deepEqual(
    packagesOf([
      "/w/node_modules/.deno/@noble+curves@2.4.0/node_modules/@noble/curves/nist.js",
      "\0/w/node_modules/.deno/preact@11.2.0/node_modules/preact/dist/preact.mjs?x",
      "/w/node_modules/.deno/preact@11.2.0/node_modules/preact/hooks/dist/hooks.mjs",
      "/w/node_modules/.deno/@preact+signals@2.11.4_preact@11.2.0/node_modules/@preact/signals/dist/signals.mjs",
      "/w/console/main.tsx",
    ]),
    ["@noble/curves 2.4.0", "@preact/signals 2.11.4", "preact 11.2.0"],
  );
});

Deno.test("noticesOf() takes the wanted notices, and misses none", () => {
  const rule = "=".repeat(80);
  const notices = `Head\n\n${rule}\na 1.0.0 (MIT)\nhttps://a\n\nText A\n\n${rule}\n@b/c 2.0.0 (ISC)\n\nText C\n`;
  assert.deepEqual(noticesOf(["@b/c 2.0.0"], notices), [
    { name: "@b/c", version: "2.0.0", licence: "ISC", text: "Text C" },
  ]);
  assert.throws(() => noticesOf(["d 1.0.0"], notices), /has no d 1.0.0/);
});
