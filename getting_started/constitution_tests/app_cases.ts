/**
 * Cases of the actions on the app.
 */

import { type ActionCases, only } from "./cases.ts";
import type { Rows } from "./world.ts";

const ENDPOINT = {
  mode: "readonly",
  js_module: "log.js",
  js_function: "f",
  forwarding_required: "never",
  authn_policies: [{ all_of: ["user_cert", "jwt"] }, "anything"],
  extra: [null],
};
const MODULES = [{ name: "log.js", module: "export const f = 1;" }, { name: "a/b.js", module: "" }];
const BUNDLE = {
  metadata: { endpoints: { "/a": { get: ENDPOINT, Put: { ...ENDPOINT, js_module: "a/b.js" } }, "/none": {} } },
  modules: MODULES,
};

/** A bundle with one endpoint that differs from a good one. */
const withEndpoint = (changes: Readonly<Record<string, unknown>>) => ({
  bundle: { metadata: { endpoints: { "/a": { get: { ...ENDPOINT, ...changes } } } }, modules: MODULES },
});

const OLD_APP: Rows = {
  "modules": { "/old.js": "old", "/log.js": "old" },
  "endpoints": { "GET /old": {} },
  "modules_quickjs_bytecode": { "/old.js": "bytes" },
  "modules_quickjs_version": only("version"),
  "interpreter.flush": only(true),
};
const OPTIONS = { max_heap_bytes: 1, max_stack_bytes: 2, max_execution_time_ms: 3 };

export const APP_CASES: Readonly<Record<string, ActionCases>> = {
  set_js_app: {
    accepts: [
      { bundle: { metadata: { endpoints: {} }, modules: [] } },
      withEndpoint({ openapi: null, openapi_hidden: null, redirection_strategy: "to_primary" }),
      withEndpoint({ openapi: {}, openapi_hidden: true, authn_policies: [] }),
    ],
    refuses: [
      undefined,
      {},
      { bundle: null },
      { bundle: "x" },
      { bundle: { modules: {} } },
      { bundle: { ...BUNDLE, modules: [null] } },
      { bundle: { ...BUNDLE, modules: [{ name: 1, module: "" }] } },
      { bundle: { ...BUNDLE, modules: [{ name: "log.js" }] } },
      { bundle: { modules: MODULES } },
      ...[undefined, null, "x"].map((endpoints) => ({ bundle: { modules: MODULES, metadata: { endpoints } } })),
      ...[null, "get"].map((verbs) => ({ bundle: { modules: MODULES, metadata: { endpoints: { "/a": verbs } } } })),
      ...[null, 7, {}].map((get) => ({ bundle: { modules: MODULES, metadata: { endpoints: { "/a": { get } } } } })),
      withEndpoint({ js_module: "c.js" }),
      withEndpoint({ js_module: "/log.js" }),
      withEndpoint({ js_function: null }),
      withEndpoint({ mode: "write" }),
      withEndpoint({ forwarding_required: undefined }),
      withEndpoint({ redirection_strategy: null }),
      withEndpoint({ openapi: "x" }),
      withEndpoint({ openapi_hidden: "x" }),
      ...[undefined, "no_auth", [7], [null], [{}], [{ all_of: "jwt" }], [{ all_of: [7] }]].map((authn_policies) =>
        withEndpoint({ authn_policies })
      ),
      { bundle: BUNDLE, disable_bytecode_cache: "x" },
    ],
    effects: [
      {
        title: "replaces modules and endpoints",
        args: { bundle: BUNDLE },
        before: OLD_APP,
        writes: {
          "modules": { "/log.js": "export const f = 1;", "/a/b.js": "", "/old.js": null },
          "endpoints": {
            "GET /a": { ...ENDPOINT, js_module: "/log.js" },
            "PUT /a": { ...ENDPOINT, js_module: "/a/b.js" },
            "GET /old": null,
          },
          "interpreter.flush": only(true),
        },
        calls: [["refreshBytecodeCache"]],
      },
      {
        title: "stores no compiled modules where it is told not to",
        args: { bundle: { metadata: { endpoints: {} }, modules: [] }, disable_bytecode_cache: true },
        before: OLD_APP,
        writes: {
          "modules": { "/old.js": null, "/log.js": null },
          "endpoints": { "GET /old": null },
          "modules_quickjs_bytecode": { "/old.js": null },
          "modules_quickjs_version": only(null),
          "interpreter.flush": only(true),
        },
      },
    ],
  },
  remove_js_app: {
    accepts: [null, {}],
    refuses: [],
    effects: [{
      title: "leaves none",
      before: OLD_APP,
      writes: {
        "modules": { "/old.js": null, "/log.js": null },
        "endpoints": { "GET /old": null },
        "modules_quickjs_bytecode": { "/old.js": null },
        "modules_quickjs_version": only(null),
        "interpreter.flush": only(null),
      },
    }],
  },
  set_js_runtime_options: {
    accepts: [
      { ...OPTIONS, max_heap_bytes: -1 },
      { ...OPTIONS, log_exception_details: null, return_exception_details: null, max_cached_interpreters: null },
      { ...OPTIONS, log_exception_details: true, return_exception_details: false, max_cached_interpreters: 7 },
    ],
    refuses: [
      undefined,
      {},
      ...Object.keys(OPTIONS).flatMap((name) => [null, 1.5, "1"].map((bad) => ({ ...OPTIONS, [name]: bad }))),
      { ...OPTIONS, log_exception_details: 1 },
      { ...OPTIONS, return_exception_details: "yes" },
      { ...OPTIONS, max_cached_interpreters: 1.5 },
    ],
    effects: [{
      title: "stores what was proposed, unknown members too",
      args: { later: "x", ...OPTIONS },
      writes: { "js_runtime_options": only({ later: "x", ...OPTIONS }) },
    }],
  },
  refresh_js_app_bytecode_cache: {
    accepts: [null, {}],
    refuses: [],
    effects: [{ title: "asks for compiled modules", calls: [["refreshBytecodeCache"]] }],
  },
};
