import { strict as assert } from "node:assert";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { constitutionFiles, DEFAULT_CONSTITUTION_FOLDER, STANDARD_CONSTITUTION_FOLDER } from "./constitution_folder.ts";

const FIRST = ["actions.js", "validate.js", "resolve.js", "apply.js"];
const gettingStarted = (name: string) => fileURLToPath(new URL(`../getting_started/${name}`, import.meta.url));

function withFiles(names: readonly string[], test: (folder: string) => void): void {
  const folder = Deno.makeTempDirSync({ prefix: "quorate_constitution_" });
  try {
    for (const name of names) Deno.writeTextFileSync(join(folder, name), "");
    test(folder);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}

Deno.test("constitutionFiles() names four files first and the other scripts by name", () => {
  withFiles(["zebra.js", "apply.js", "resolve.js", "README.md", "validate.js", "ant.js", "actions.js"], (folder) => {
    assert.deepEqual(constitutionFiles(folder), [...FIRST, "ant.js", "zebra.js"].map((name) => join(folder, name)));
  });
});

Deno.test("constitutionFiles() takes nothing of ours for a folder with actions of its own", () => {
  withFiles(["actions.js", "resolve.js", "apply.js"], (folder) => {
    assert.throws(() => constitutionFiles(folder), {
      name: "UsageError",
      message: `Cannot use the constitution in ${folder}: it has no validate.js`,
    });
  });
});

Deno.test("constitutionFiles() takes for a variant what it lacks from ours, and its own files instead of ours", () => {
  withFiles(["resolve.js", "nodes.js", "extra.js"], (folder) => {
    const files = constitutionFiles(folder);
    assert.deepEqual(files.slice(0, 4).map((file) => basename(file)), FIRST);
    const others = files.slice(4).map((file) => basename(file));
    assert.deepEqual(others, [...others].sort());
    assert.deepEqual(
      files.filter((file) => file.startsWith(folder)),
      ["resolve.js", "extra.js", "nodes.js"].map((name) => join(folder, name)),
    );
    assert(files.includes(join(STANDARD_CONSTITUTION_FOLDER, "members.js")));
    assert(files.includes(join(DEFAULT_CONSTITUTION_FOLDER, "virtual.js")));
  });
});

Deno.test("constitutionFiles() reads every constitution that is shipped", () => {
  const own = constitutionFiles(STANDARD_CONSTITUTION_FOLDER);
  assert(own.every((file) => file.startsWith(join(STANDARD_CONSTITUTION_FOLDER, "/"))));
  const added = constitutionFiles(DEFAULT_CONSTITUTION_FOLDER).filter((file) => !own.includes(file));
  assert.deepEqual(added, [join(DEFAULT_CONSTITUTION_FOLDER, "virtual.js")]);
  for (const name of ["veto", "operator", "operator_provisioner"]) {
    const folder = gettingStarted(`constitution_${name}`);
    assert.equal(constitutionFiles(folder)[2], join(folder, "resolve.js"));
  }
  assert(constitutionFiles(gettingStarted("constitution_roles")).some((file) => basename(file) === "roles.js"));
});

Deno.test("constitutionFiles() refuses a folder that does not exist, and one without scripts", () => {
  assert.throws(() => constitutionFiles("/nowhere"), {
    name: "UsageError",
    message: /the constitution folder \/nowhere: /,
  });
  withFiles(["README.md"], (folder) => {
    assert.throws(() => constitutionFiles(folder), { message: /it has no actions\.js/ });
  });
});
