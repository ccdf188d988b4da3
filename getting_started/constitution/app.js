/**
 * Actions on the app: which code serves the users, and within which limits.
 */

const modules = () => textTable("public:ccf.gov.modules");
const endpoints = () => jsonTable("public:ccf.gov.endpoints");
const bytecode = () => textTable("public:ccf.gov.modules_quickjs_bytecode");
const bytecodeVersion = () => textTable("public:ccf.gov.modules_quickjs_version");
const interpreterFlush = () => single("public:ccf.gov.interpreter.flush");

/**
 * Replaces the app that users use. What users stored stays, and from now on this code, which every member can read in
 * the proposal, decides who may read and change it.
 */
actions.set("set_js_app", {
  check(args) {
    checkType("object", args.bundle, "bundle");
    checkOptional("boolean", args.disable_bytecode_cache, "disable_bytecode_cache");
    const { modules, metadata } = args.bundle;
    checkArray(modules, "bundle.modules");
    for (const [index, module] of modules.entries()) {
      checkType("string", module?.name, `bundle.modules[${index}].name`);
      checkType("string", module?.module, `bundle.modules[${index}].module`);
    }
    checkType("object", metadata, "bundle.metadata");
    checkType("object", metadata?.endpoints, "bundle.metadata.endpoints");
    const names = new Set(modules.map((module) => module.name));
    for (const [path, verbs] of Object.entries(metadata.endpoints)) {
      checkType("object", verbs, `The endpoints of ${path}`);
      for (const [verb, endpoint] of Object.entries(verbs)) checkEndpoint(endpoint, `${verb} ${path}`, names);
    }
  },
  perform(args) {
    const { modules: sources, metadata } = args.bundle;
    modules().clear();
    endpoints().clear();
    for (const { name, module } of sources) modules().set(`/${name}`, module);
    if (args.disable_bytecode_cache) {
      bytecode().clear();
      bytecodeVersion().clear();
    } else {
      ccf.refreshAppBytecodeCache();
    }
    interpreterFlush().set(true);
    for (const [path, verbs] of Object.entries(metadata.endpoints)) {
      for (const [verb, endpoint] of Object.entries(verbs)) {
        endpoints().set(`${verb.toUpperCase()} ${path}`, { ...endpoint, js_module: `/${endpoint.js_module}` });
      }
    }
  },
});

function checkEndpoint(endpoint, where, moduleNames) {
  checkType("object", endpoint, where);
  checkType("string", endpoint?.js_module, `js_module of ${where}`);
  checkType("string", endpoint.js_function, `js_function of ${where}`);
  must(moduleNames.has(endpoint.js_module), `module '${endpoint.js_module}' not found in bundle`);
  checkOneOf(["readwrite", "readonly", "historical"], endpoint.mode, `mode of ${where}`);
  checkOneOf(["sometimes", "always", "never"], endpoint.forwarding_required, `forwarding_required of ${where}`);
  if (endpoint.redirection_strategy !== undefined) {
    checkOneOf(["none", "to_primary", "to_backup"], endpoint.redirection_strategy, `redirection_strategy of ${where}`);
  }
  checkArray(endpoint.authn_policies, `authn_policies of ${where}`);
  // One policy must hold; in {"all_of": […]} every one. Whether a policy exists turns out when the endpoint is called.
  for (const policy of endpoint.authn_policies) {
    if (typeof policy === "string") continue;
    checkArray(policy?.all_of, `all_of in authn_policies of ${where}`);
    for (const name of policy.all_of) checkType("string", name, `A policy in all_of of ${where}`);
  }
  checkOptional("object", endpoint.openapi, `openapi of ${where}`);
  checkOptional("boolean", endpoint.openapi_hidden, `openapi_hidden of ${where}`);
}

/** Takes the app away: users can call nothing until another is set. What they stored stays. */
actions.set("remove_js_app", {
  check: anyArguments,
  perform() {
    for (const each of [modules(), bytecode(), bytecodeVersion(), interpreterFlush(), endpoints()]) each.clear();
  },
});

/** Changes how much memory and time one call of the app may take, and whether its errors are shown to callers. */
actions.set("set_js_runtime_options", {
  check(args) {
    checkInteger(args.max_heap_bytes, "max_heap_bytes");
    checkInteger(args.max_stack_bytes, "max_stack_bytes");
    checkInteger(args.max_execution_time_ms, "max_execution_time_ms");
    checkOptional("boolean", args.log_exception_details, "log_exception_details");
    checkOptional("boolean", args.return_exception_details, "return_exception_details");
    if (!isAbsent(args.max_cached_interpreters)) checkInteger(args.max_cached_interpreters, "max_cached_interpreters");
  },
  perform(args) {
    single("public:ccf.gov.js_runtime_options").set(args);
  },
});

/** Compiles the app again for the nodes' present version. The app itself stays as it is. */
actions.set("refresh_js_app_bytecode_cache", {
  check: anyArguments,
  perform() {
    ccf.refreshAppBytecodeCache();
  },
});
