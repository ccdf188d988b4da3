/**
 * The licences of the packages that went into the page.
 *
 * In: names of modules as the bundler tells them; THIRD_PARTY_NOTICES. Out: the notices of just those packages.
 */

export interface PackageNotice {
  readonly name: string;
  readonly version: string;
  readonly licence: string;
  readonly text: string;
}

const RULE = "=".repeat(80);

/** `@scope/name version` of each package that a module stands in. */
export function packagesOf(modules: readonly string[]): string[] {
  const found = modules.flatMap((path) => {
    const match = /node_modules\/\.deno\/@?[^@/]+@(\d[^/_]*)[^/]*\/node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path);
    return match === null ? [] : [`${match[2]} ${match[1]}`];
  });
  return [...new Set(found)].sort();
}

/** @throws Error where the notices do not have one of the packages */
export function noticesOf(packages: readonly string[], notices: string): PackageNotice[] {
  const all = new Map<string, PackageNotice>();
  for (const part of notices.split(`${RULE}\n`).slice(1)) {
    const heading = /^(\S+) (\S+) \((.*)\)\n/.exec(part);
    if (heading === null) throw new Error(`Cannot read the notice ${JSON.stringify(part.slice(0, 80))}`);
    const [, name, version, licence] = heading as unknown as [string, string, string, string];
    all.set(`${name} ${version}`, { name, version, licence, text: part.slice(heading[0].length).trim() });
  }
  return packages.map((name) => {
    const notice = all.get(name);
    if (notice === undefined) throw new Error(`THIRD_PARTY_NOTICES has no ${name}; run deno task notices`);
    return notice;
  });
}
