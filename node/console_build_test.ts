import { strict as assert } from "node:assert";
import { join } from "node:path";
import { isConsoleBuilt } from "./console_build.ts";

const BUILT_S = 1_700_000_000;

/** A checkout whose sources are an hour older than its page. */
async function withCheckout(test: (root: string, isBuilt: () => boolean) => Promise<void>): Promise<void> {
  const root = await Deno.makeTempDir();
  try {
    await write(join(root, "console/main.tsx"), -3600);
    await write(join(root, "console/styles/base.css"), -3600);
    await write(join(root, "shared/bytes.ts"), -3600);
    await write(join(root, "enclave/enclave.ts"), -3600);
    await write(join(root, "deno.lock"), -3600);
    await write(join(root, "console/dist/app/policy.json"), 0);
    await test(root, () => isConsoleBuilt(root, join(root, "console/dist/app")));
  } finally {
    await Deno.remove(root, { recursive: true });
  }
}

/** Writes a file that was changed so many seconds after the page was built. */
async function write(path: string, laterS: number): Promise<void> {
  await Deno.mkdir(join(path, ".."), { recursive: true });
  await Deno.writeTextFile(path, "");
  await Deno.utime(path, BUILT_S + laterS, BUILT_S + laterS);
}

Deno.test("a page is built again where a source is newer, wherever it stands", () =>
  withCheckout(async (root, isBuilt) => {
    assert.ok(isBuilt());
    for (
      const path of ["console/main.tsx", "console/styles/base.css", "shared/a/b/new.ts", "enclave/x.js", "deno.lock"]
    ) {
      await write(join(root, path), 1);
      assert.ok(!isBuilt(), path);
      await write(join(root, path), 0);
      assert.ok(isBuilt(), path);
    }
  }));

Deno.test("what does not go into the page does not build it again", () =>
  withCheckout(async (root, isBuilt) => {
    const paths = [
      "console/main_test.ts",
      "console/README.md",
      "console/dist/app/assets/index-1.js",
      "console/.dist-lock/lock",
      "console/.dist-1234/app/index.js",
      "node/host.ts",
    ];
    for (const path of paths) {
      await write(join(root, path), 1);
      assert.ok(isBuilt(), path);
    }
  }));

Deno.test("a page that is not there is not built", () =>
  withCheckout(async (root, isBuilt) => {
    await Deno.remove(join(root, "console/dist"), { recursive: true });
    assert.ok(!isBuilt());
  }));
