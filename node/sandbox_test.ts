import { strict as assert } from "node:assert";
import { join } from "node:path";
import { DEFAULT_CONSTITUTION_FOLDER } from "./constitution_folder.ts";
import { DEFAULT_APP_FOLDER, readBundle, readSandboxInputs } from "./sandbox.ts";

const GOOD = { js_module: "a.js", js_function: "f" };

function withFolder(test: (folder: string) => void): void {
  const folder = Deno.makeTempDirSync({ prefix: "quorate_sandbox_" });
  try {
    test(folder);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}

Deno.test("readBundle() reads app.json, and the modules of src and its folders by name", () => {
  assert(readBundle(DEFAULT_APP_FOLDER).modules.some(({ name }) => name === "log.js"));
  withFolder((folder) => {
    Deno.mkdirSync(join(folder, "src", "lib"), { recursive: true });
    Deno.writeTextFileSync(join(folder, "src", "a.js"), "a");
    Deno.writeTextFileSync(join(folder, "src", "lib", "b.js"), "b");
    const endpoints = { "/x": { get: GOOD, post: { ...GOOD, js_module: "lib/b.js" } }, "/y": {} };
    Deno.writeTextFileSync(join(folder, "app.json"), JSON.stringify({ endpoints }));
    const modules = [{ name: "a.js", module: "a" }, { name: "lib/b.js", module: "b" }];
    assert.deepEqual(readBundle(folder), { metadata: { endpoints }, modules });
  });
});

Deno.test("readBundle() refuses a folder that is no app, and names the file and the endpoint", () => {
  withFolder((folder) => {
    const refused = (why: string | RegExp) => {
      const message = typeof why === "string" ? `Cannot use the app in ${folder}: ${why}` : why;
      assert.throws(() => readBundle(folder), { name: "UsageError", message });
    };
    const write = (json: unknown) => Deno.writeTextFileSync(join(folder, "app.json"), JSON.stringify(json));
    refused("app.json: there is no such file");
    Deno.writeTextFileSync(join(folder, "app.json"), "{");
    refused(/: app\.json is not JSON: /);
    write({ endpoints: {} });
    refused("it has no folder src with the modules");
    Deno.writeTextFileSync(join(folder, "src"), "");
    refused(/: src\/: /);
    Deno.removeSync(join(folder, "src"));
    Deno.mkdirSync(join(folder, "src"));
    Deno.writeTextFileSync(join(folder, "src", "a.js"), "");
    for (const json of [null, [], 7, {}, { endpoints: null }, { endpoints: [] }]) {
      write(json);
      refused('app.json has no "endpoints", an object with a path for each name');
    }
    for (const value of [null, [], "get"]) {
      write({ endpoints: { "/x": value } });
      refused("app.json: the endpoint /x must be an object with a method for each name");
      write({ endpoints: { "/x": { get: value } } });
      refused("app.json: GET /x must be an object with js_module and js_function");
    }
    write({ endpoints: { "/x": { get: {} } } });
    refused("app.json: GET /x has no js_module, the name of a file in src");
    write({ endpoints: { "/x": { get: { js_module: "a.js" } } } });
    refused("app.json: GET /x has no js_function, the name of a function it exports");
    write({ endpoints: { "/x": { get: { ...GOOD, js_module: "b.js" } } } });
    refused("app.json: GET /x names the module b.js, which is not in src");
  });
});

Deno.test("readSandboxInputs() refuses a constitution without one of its four files, or with one that cannot be read", () => {
  const options = {
    workspace: "/nowhere",
    host: "127.0.0.1",
    port: 0,
    members: 1,
    users: 1,
    appFolder: DEFAULT_APP_FOLDER,
    constitutionFolder: DEFAULT_CONSTITUTION_FOLDER,
    nativeApp: undefined,
  };
  assert.deepEqual(readSandboxInputs(options).app, readBundle(DEFAULT_APP_FOLDER));
  assert.equal(readSandboxInputs({ ...options, appFolder: "/nowhere", nativeApp: "logging" }).app, undefined);
  withFolder((folder) => {
    const refused = (message: RegExp) =>
      assert.throws(() => readSandboxInputs({ ...options, constitutionFolder: folder }), {
        name: "UsageError",
        message,
      });
    refused(/it has no actions\.js/);
    for (const name of ["actions.js", "validate.js", "resolve.js", "apply.js"]) {
      Deno.writeTextFileSync(join(folder, name), "");
    }
    Deno.mkdirSync(join(folder, "more.js"));
    refused(/Cannot read the constitution's file .*more\.js: it is a directory/);
  });
});
