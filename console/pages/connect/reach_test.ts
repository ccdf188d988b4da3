import { strict as assert } from "node:assert";
import fc from "fast-check";
import type { Problem } from "../../problem.ts";
import { checkUrl, isUnreachable, relayCommand, stagesOf } from "./reach.ts";

const problem = (code: string, details?: string): Problem => ({
  code,
  what: "",
  why: "",
  todo: "",
  ...(details !== undefined && { details }),
});

Deno.test("checkUrl() takes the origin of what a person pastes, https where nothing is said", () => {
  for (
    const [text, url] of [
      ["https://127.0.0.1:9000", "https://127.0.0.1:9000"],
      [" https://node.example/console/#/ledger?from=1 ", "https://node.example"],
      ["127.0.0.1:9000", "https://127.0.0.1:9000"],
      ["localhost:9000/app", "https://localhost:9000"],
      ["[::1]:9000", "https://[::1]:9000"],
      ["http://127.0.0.1:8080", "http://127.0.0.1:8080"],
    ]
  ) assert.deepEqual(checkUrl(text!, false), { url }, text);
});

Deno.test("checkUrl() says why something is no address of a node", () => {
  const code = (text: string, isPageSecure = false) => {
    const checked = checkUrl(text, isPageSecure);
    return "problem" in checked ? checked.problem.code : checked.url;
  };
  assert.equal(code(""), "UrlMissing");
  assert.equal(code("https://"), "UrlUnreadable");
  assert.equal(code("ftp://node"), "UrlUnreadable");
  assert.equal(code("javascript:alert(1)"), "UrlUnreadable");
  assert.equal(code("https://me:secret@node"), "UrlHasPassword");
  assert.equal(code("http://node", true), "UrlNotSecure");
  fc.assert(fc.property(fc.string(), (text) => {
    const checked = checkUrl(text, false);
    if ("url" in checked) assert.match(checked.url, /^https?:\/\//);
  }));
});

Deno.test("stagesOf() tells name, connection, TLS and HTTP apart where the relay does", () => {
  const kinds = (code: string, details?: string) => stagesOf(problem(code, details)).map(({ kind }) => kind);
  assert.deepEqual(kinds("NameNotFound"), ["failed", "unchecked", "unchecked", "unchecked"]);
  assert.deepEqual(kinds("ConnectionRefused"), ["verified", "failed", "unchecked", "unchecked"]);
  assert.deepEqual(kinds("CertificateNotOfService"), ["verified", "verified", "failed", "unchecked"]);
  assert.deepEqual(kinds("NoHttp"), ["verified", "verified", "verified", "failed"]);
  assert.deepEqual(kinds("NodeUnreachable"), ["cannot", "cannot", "cannot", "cannot"]);
  assert.deepEqual(kinds("FrontendNotOpen", "HTTP 404: {}"), ["verified", "verified", "verified", "verified"]);
  assert(stagesOf(undefined).every(({ kind }) => kind === "verified"));
  const relayed = (stage: string) => kinds("X", `HTTP 502: {"error":{"code":"X"},"stage":"${stage}","what":""}`);
  assert.deepEqual(relayed("tls"), ["verified", "verified", "failed", "unchecked"], "whatever the code");
  assert.deepEqual(relayed("relay"), ["unchecked", "unchecked", "unchecked", "unchecked"], "nothing was tried");
});

Deno.test("isUnreachable() tells a node that was not reached from one that refused", () => {
  assert(isUnreachable(problem("NodeUnreachable")) && isUnreachable(problem("ConnectionRefused")));
  assert(isUnreachable(problem("HostUnreachable", `HTTP 502: {"error":{},"stage":"tcp"}`)));
  assert(!isUnreachable(problem("Http503")));
  assert.match(relayCommand(""), /https:\/\/HOST:PORT/);
});
