/**
 * How modules are called: in imports, in the modules table, and in stack traces.
 *
 * The modules table has a slash in front of every name. QuickJS knows each module by one canonical name, so that two
 * ways of writing an import lead to one module; it stands in stack traces, with the slash or without (js-apps.md §2, §5).
 */

/** @param slash whether canonical names begin with a slash */
export function canonicalModuleName(name: string, slash: boolean): string {
  const bare = name.startsWith("/") ? name.slice(1) : name;
  return slash ? `/${bare}` : bare;
}

/**
 * The canonical name of what a module imports. A specifier that begins with a dot is joined to the folder of the module
 * that imports; only dots at its beginning are resolved, as QuickJS does by default.
 */
export function importedModuleName(base: string, specifier: string, slash: boolean): string {
  if (!specifier.startsWith(".")) return canonicalModuleName(specifier, slash);
  const folders = base.split("/").slice(0, -1);
  let rest = specifier;
  for (;;) {
    if (rest.startsWith("./")) {
      rest = rest.slice(2);
    } else if (rest.startsWith("../") && folders.some((folder) => folder !== "")) {
      folders.pop();
      rest = rest.slice(3);
    } else {
      return canonicalModuleName([...folders, rest].filter((part) => part !== "").join("/"), slash);
    }
  }
}
