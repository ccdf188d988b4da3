import { strict as assert } from "node:assert";
import { join } from "node:path";
import { Workspace } from "./workspace.ts";

/** Prepares, with what a test has to say about it. */
function prepare(path: string, fresh = false, inputs: readonly string[] = []): Workspace {
  return Workspace.prepare({ path, fresh, inputs });
}

function refused(path: string, fresh: boolean, message: RegExp, inputs: readonly string[] = []): void {
  assert.throws(() => prepare(path, fresh, inputs), { name: "UsageError", message });
}

function namesIn(path: string): string[] {
  return [...Deno.readDirSync(path)].map(({ name }) => name).sort();
}

/** A folder with files of these names; a slash at the end makes a folder. */
function folderWith(parent: string, ...names: string[]): string {
  const path = Deno.makeTempDirSync({ dir: parent });
  for (const name of names) {
    if (name.endsWith("/")) Deno.mkdirSync(join(path, name), { recursive: true });
    else Deno.writeTextFileSync(join(path, name), "kept");
  }
  return path;
}

function inTemporaryFolder(test: (folder: string) => void): () => void {
  return () => {
    const folder = Deno.makeTempDirSync({ prefix: "quorate_workspace_" });
    try {
      test(folder);
    } finally {
      Deno.removeSync(folder, { recursive: true });
    }
  };
}

Deno.test(
  "Workspace.discard() removes what the run made, and the folder too if the run made it",
  inTemporaryFolder((folder) => {
    const made = join(folder, "a", "b");
    const found = folderWith(folder);
    for (const path of [made, found]) {
      const workspace = prepare(path);
      Deno.mkdirSync(join(path, "node0"));
      Deno.writeTextFileSync(join(path, "node0", "x"), "");
      workspace.discard();
    }
    assert.throws(() => Deno.statSync(made), Deno.errors.NotFound);
    assert.deepEqual(namesIn(found), []);
    prepare(made).discard();
  }),
);

Deno.test(
  "Workspace.prepare() with fresh empties what a sandbox left, and an empty folder",
  inTemporaryFolder((folder) => {
    for (const names of [["sandbox.json"], ["sandbox_common/", "receipt.json"], ["sandbox.lock", "node0/"], []]) {
      const path = folderWith(folder, ...names);
      prepare(path, true).release();
      assert.deepEqual(namesIn(path), ["sandbox.lock"]);
    }
  }),
);

Deno.test(
  "Workspace.prepare() with fresh leaves alone what is no sandbox's, and says why",
  inTemporaryFolder((folder) => {
    const file = join(folder, "file");
    Deno.writeTextFileSync(file, "kept");
    refused(file, true, /is not a directory, and is left alone; choose another --workspace$/);
    assert.equal(Deno.readTextFileSync(file), "kept");

    const others = folderWith(folder, "thesis.txt");
    refused(others, true, /^Cannot wipe .*: it is not the workspace of a sandbox, which has .*; choose another/);
    assert.deepEqual(namesIn(others), ["thesis.txt"]);

    const checkout = folderWith(folder, ".git/", "sandbox.json");
    refused(checkout, true, /it is a checkout/);
    assert.deepEqual(namesIn(checkout), [".git", "sandbox.json"]);

    const withApp = folderWith(folder, "sandbox.json", "app/");
    refused(withApp, true, /\/app is in it/, [join(withApp, "app")]);
    refused(withApp, true, / is in it/, [withApp]);
    assert.deepEqual(namesIn(withApp), ["app", "sandbox.json"]);
    prepare(withApp, true, [`${withApp}-beside`, folder]).release();
  }),
);

Deno.test(
  "Workspace.prepare() refuses a folder that is in use, a file, and what lies below a file",
  inTemporaryFolder((folder) => {
    const sandbox = folderWith(folder, "sandbox.json");
    refused(sandbox, false, /is not empty; give --fresh to wipe it, or another --workspace$/);
    const others = folderWith(folder, "thesis.txt");
    refused(others, false, /is not empty; choose another --workspace$/);
    const file = join(folder, "file");
    Deno.writeTextFileSync(file, "");
    refused(file, false, /is not a directory/);
    refused(
      join(file, "below"),
      false,
      /^Cannot write to the workspace .*: .*\/file is not a directory; choose another/,
    );
  }),
);

Deno.test(
  "Workspace.prepare() refuses while another sandbox runs in it, and a process ID left by a dead one is no hindrance",
  inTemporaryFolder((folder) => {
    const path = join(folder, "workspace");
    const running = prepare(path);
    const message = new RegExp(`a sandbox runs in it, process ${Deno.pid}; stop it, or choose another --workspace$`);
    refused(path, true, message);
    assert.deepEqual(namesIn(path), ["sandbox.lock"]);
    running.release();
    Deno.writeTextFileSync(join(path, "sandbox.lock"), "1234567890\n");
    prepare(path, true).release();
    assert.equal(Deno.readTextFileSync(join(path, "sandbox.lock")), `${Deno.pid}\n`);
  }),
);
