import { strict as assert } from "node:assert";
import { filesOfTar, lockedPackages, noticedPackages, refusalOf } from "./third_party_notices.ts";

const root = new URL("../../", import.meta.url);

Deno.test("THIRD_PARTY_NOTICES names exactly the packages of deno.lock (else run `deno task notices`)", () => {
  const locked = lockedPackages(Deno.readTextFileSync(new URL("deno.lock", root)));
  const noticed = noticedPackages(Deno.readTextFileSync(new URL("THIRD_PARTY_NOTICES", root)));
  assert.deepEqual(noticed, locked.map(({ name, version }) => `${name} ${version}`));
});

Deno.test("lockedPackages() reads scopes, pre-releases and peers, and names each package once", () => {
  const lock = {
    npm: {
      "b@1.0.0-rc.1": { integrity: "sha512-b" },
      "@s/a@2.0.0_b@1.0.0__c@3.0.0": { integrity: "sha512-a" },
      "@s/a@2.0.0": { integrity: "sha512-a" },
    },
  };
  assert.deepEqual(lockedPackages(JSON.stringify(lock)), [
    { name: "@s/a", version: "2.0.0", integrity: "sha512-a" },
    { name: "b", version: "1.0.0-rc.1", integrity: "sha512-b" },
  ]);
  assert.deepEqual(lockedPackages('{"version":"5"}'), []);
  assert.throws(() => lockedPackages('{"npm":{"nameless":{}}}'), {
    message: 'Cannot read "nameless" of deno.lock as a package and version',
  });
});

Deno.test("refusalOf() accepts permissive and weak licences, and a choice that has one", () => {
  for (
    const good of [
      "MIT",
      "Apache-2.0",
      "0BSD",
      "MPL-2.0",
      "LGPL-3.0-only",
      "(MIT OR GPL-3.0-or-later)",
      "MIT OR GPL-2.0",
    ]
  ) {
    assert.equal(refusalOf(good), undefined, good);
  }
});

Deno.test("refusalOf() refuses GPL and AGPL, and a package that names no licence", () => {
  for (const bad of ["GPL-2.0", "GPL-3.0-or-later", "AGPL-3.0", "MIT AND GPL-3.0", "GPL-2.0 OR AGPL-3.0", "gpl-3.0"]) {
    assert.equal(refusalOf(bad), `is under ${bad}`);
  }
  assert.equal(refusalOf(""), "names no licence");
});

Deno.test("filesOfTar() finds the licence at the top of a package and skips the rest", () => {
  const files = { "package/lib/LICENSE": "no", "package/index.js": "x".repeat(600), "package/LICENSE.md": "yes\n" };
  const blocks = Object.entries(files).flatMap(([name, content]) => {
    const block = new Uint8Array(512 + Math.ceil(content.length / 512) * 512);
    const put = (text: string, at: number) => block.set(new TextEncoder().encode(text), at);
    put(name, 0);
    put(content.length.toString(8).padStart(11, "0"), 124);
    put(content, 512);
    return [...block];
  });
  assert.deepEqual([...filesOfTar(new Uint8Array([...blocks, ...new Uint8Array(1024)]))], [["LICENSE.md", "yes\n"]]);
});
