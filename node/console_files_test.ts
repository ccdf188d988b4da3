import { strict as assert } from "node:assert";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { fromUtf8 } from "../shared/bytes.ts";
import { MAX_CONSOLE_FILES } from "../shared/limits.ts";
import type { HttpResponse } from "../enclave/messages.ts";
import { consoleDocument, ConsoleFiles } from "./console_files.ts";

const POLICY = "default-src 'none'; script-src 'self'";
const SCRIPT = `console.log("${"long enough to be compressed ".repeat(40)}");`;

/** A folder as the build leaves one, for as long as the test. */
async function withPage(test: (folder: string) => void, files: Record<string, string> = {}): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await Deno.mkdir(join(folder, "app/assets"), { recursive: true });
    await Deno.writeTextFile(join(folder, "secret.txt"), "secret");
    const all = {
      "index.html": "<!doctype html>",
      "policy.json": JSON.stringify({ content_security_policy: POLICY }),
      "assets/index-a1b2.js": SCRIPT,
      "assets/index-a1b2.css": "body {}",
      ...files,
    };
    for (const [name, content] of Object.entries(all)) await Deno.writeTextFile(join(folder, "app", name), content);
    test(join(folder, "app"));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function headersOf(answer: HttpResponse | null): Record<string, string> {
  assert.ok(answer !== null);
  return Object.fromEntries(answer.headers);
}

Deno.test("ConsoleFiles serves the page with the policy of its build, and to nobody else's frame", () =>
  withPage((folder) => {
    const files = ConsoleFiles.open(folder)!;
    const page = files.answer("", new Headers())!;
    assert.equal(page.status, 200);
    assert.equal(fromUtf8(page.body), "<!doctype html>");
    const { etag, ...headers } = headersOf(page);
    assert.match(etag!, /^"[\w-]{22}"$/);
    assert.deepEqual(headers, {
      "content-type": "text/html; charset=utf-8",
      "content-security-policy": POLICY,
      "x-content-type-options": "nosniff",
      "x-frame-options": "DENY",
      "referrer-policy": "no-referrer",
      "cross-origin-opener-policy": "same-origin",
      "cross-origin-resource-policy": "same-origin",
      "cache-control": "no-cache",
      "vary": "accept-encoding",
      "content-length": "15",
    });
    assert.deepEqual(files.answer("index.html", new Headers()), page);
    const script = headersOf(files.answer("assets/index-a1b2.js", new Headers()));
    assert.equal(script["cache-control"], "public, max-age=31536000, immutable");
    assert.equal(script["content-type"], "text/javascript; charset=utf-8");
    assert.equal(script["content-security-policy"], POLICY, "a worker is held to it");
  }));

Deno.test("ConsoleFiles compresses for whoever takes gzip, under a tag of its own", () =>
  withPage((folder) => {
    const files = ConsoleFiles.open(folder)!;
    const ask = (encoding: string) =>
      files.answer("assets/index-a1b2.js", new Headers({ "accept-encoding": encoding }))!;
    for (const accepted of ["gzip", "br, GZIP;q=0.5", "deflate, *"]) {
      const answer = ask(accepted);
      assert.equal(headersOf(answer)["content-encoding"], "gzip", accepted);
      assert.equal(headersOf(answer)["content-length"], `${answer.body.length}`);
      assert.ok(answer.body.length < SCRIPT.length);
      assert.equal(fromUtf8(gunzipSync(answer.body)), SCRIPT);
    }
    assert.equal(ask("gzip").body, ask("gzip").body, "compressed once");
    for (const accepted of ["", "br", "gzip;q=0", "*, gzip; q=0.000"]) {
      assert.equal(fromUtf8(ask(accepted).body), SCRIPT, accepted);
    }
    assert.notEqual(headersOf(ask("gzip")).etag, headersOf(ask("")).etag);
    const small = files.answer("", new Headers({ "accept-encoding": "gzip" }));
    assert.equal(headersOf(small)["content-encoding"], undefined, "nothing is won with few bytes");
  }));

Deno.test("ConsoleFiles sends nothing that the client has", () =>
  withPage((folder) => {
    const files = ConsoleFiles.open(folder)!;
    const { etag } = headersOf(files.answer("", new Headers()));
    for (const tags of [etag!, `W/${etag}`, `"x", ${etag}`, "*"]) {
      const answer = files.answer("", new Headers({ "if-none-match": tags }))!;
      assert.deepEqual([answer.status, answer.body.length, headersOf(answer).etag], [304, 0, etag], tags);
    }
    for (const tags of ['"x"', "", etag!.slice(1, -1)]) {
      assert.equal(files.answer("", new Headers({ "if-none-match": tags }))!.status, 200, tags);
    }
  }));

Deno.test("ConsoleFiles serves what stood in the folder when it was opened, and no other path", () =>
  withPage((folder) => {
    const files = ConsoleFiles.open(folder)!;
    const paths = [
      "../secret.txt",
      "..%2fsecret.txt",
      "assets/../../secret.txt",
      "assets/../index.html",
      "/index.html",
      "assets",
      "assets/",
      "policy.json",
      "index.html%00",
      "constructor",
    ];
    for (const path of paths) assert.equal(files.answer(path, new Headers()), null, path);
    Deno.writeTextFileSync(join(folder, "late.js"), "late");
    assert.equal(files.answer("late.js", new Headers()), null);
  }));

Deno.test("ConsoleFiles.open() says what is wrong with a folder, and null is for none", () =>
  withPage((folder) => {
    assert.equal(ConsoleFiles.open(join(folder, "nowhere")), null);
    const refused = (why: RegExp, path = folder) => assert.throws(() => ConsoleFiles.open(path), { message: why });
    refused(/index\.html: it is no directory$/, join(folder, "index.html"));
    refused(
      /assets: it has no index\.html and policy\.json, as `deno task console` writes them$/,
      join(folder, "assets"),
    );
    Deno.writeTextFileSync(join(folder, "policy.json"), "{}");
    refused(/content_security_policy/);
    Deno.writeTextFileSync(join(folder, "policy.json"), "<html>");
    refused(/^Cannot serve the console in .*app: /);
    for (let i = 0; i < MAX_CONSOLE_FILES; i++) Deno.writeTextFileSync(join(folder, `assets/${i}.js`), "");
    refused(/it has more than 256 files$/);
  }));

Deno.test("a node serves the console below /console/, and says so where it has none", () =>
  withPage((folder) => {
    const files = ConsoleFiles.open(folder)!;
    const ask = (path: string, page: ConsoleFiles | null = files) => consoleDocument(page, path, new Headers());
    assert.equal(fromUtf8(ask("/console/")!.body), "<!doctype html>");
    assert.equal(ask("/console/assets/index-a1b2.css")!.status, 200);
    assert.deepEqual([ask("/console")!.status, ask("/console")!.headers], [308, [["location", "/console/"]]]);
    assert.equal(ask("/console/x")!.status, 404);
    for (const path of ["/", "/consoles", "/app/console/", "/console%2f"]) assert.equal(ask(path), null, path);
    for (const path of ["/console", "/console/", "/console/assets/x.js"]) {
      const none = ask(path, null)!;
      assert.equal(none.status, 404);
      assert.match(fromUtf8(none.body), /"ConsoleNotServed".*`deno task console`.*console_directory/);
    }
    assert.equal(ask("/app/commit", null), null);
  }));
