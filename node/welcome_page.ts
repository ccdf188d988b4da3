/**
 * The page at `/` of an interface without client certificates: what this node is, and where its documents are.
 *
 * In: the node's ID and URLs. Out: HTML without scripts. Everything on it is also served as JSON.
 */

import type { CommonConfig } from "../enclave/messages.ts";

type PlatformKind = CommonConfig["platform"]["kind"];

export interface WelcomePage {
  readonly nodeId: string;
  readonly platform: PlatformKind;
  /** Interface name → URL. */
  readonly urls: ReadonlyMap<string, string>;
  /** Whether the members' page is served at `/console/`. */
  readonly hasConsole: boolean;
}

const DOCUMENTS: readonly (readonly [path: string, what: string])[] = [
  ["/node/network", "the service: its certificate, state and current view"],
  ["/node/network/nodes", "the nodes that form it"],
  ["/node/quotes/self", "this node's evidence"],
  ["/gov/service/members?api-version=2024-07-01", "the members who govern it"],
  ["/gov/service/constitution?api-version=2024-07-01", "the constitution they vote under"],
  ["/gov/service/javascript-app?api-version=2024-07-01", "the app they approved"],
  ["/app/commit", "the last committed transaction"],
  ["/app/api", "what the app offers (OpenAPI)"],
  ["/node/api", "what every node offers (OpenAPI)"],
];

/** A page cannot prove what it says of its own server. */
const HARDWARE: Readonly<Record<Exclude<PlatformKind, "virtual">, string>> = {
  snp: "AMD SEV-SNP",
  tdx: "Intel TDX",
  sgx: "Intel SGX",
};

function platformNote(platform: PlatformKind): string {
  if (platform === "virtual") {
    return `<p class="warning"><strong>Virtual platform:</strong> no hardware protects this node. Whoever runs the machine can read
everything on it.</p>`;
  }
  return `<p>It says that it is protected by ${HARDWARE[platform]}. Do not believe a page: check its evidence with
<code>deno task run quote verify</code>.</p>`;
}

/** Whoever relies on it takes it from elsewhere. */
const CONSOLE_LINK =
  `<p><a href="/console/">The members' console</a> of this node. A page that comes from the node it judges is worth as
much as the node: <code>deno task run console</code> opens the same from your own machine.</p>`;

export function welcomePage({ nodeId, platform, urls, hasConsole }: WelcomePage): string {
  const items = DOCUMENTS.map(([path, what]) =>
    `<li><a href="${escaped(path)}"><code>${escaped(path)}</code></a> ${escaped(what)}</li>`
  );
  const doors = [...urls].map(([name, url]) => `<li><code>${escaped(url)}</code> ${escaped(name)}</li>`);
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Quorate node</title>
<style>
  :root { color-scheme: light dark; font: 1rem/1.6 system-ui, sans-serif; }
  body { max-width: 46rem; margin: 3rem auto; padding: 0 1rem; }
  code { font-size: 0.95em; overflow-wrap: anywhere; }
  .warning { border-inline-start: 0.3rem solid #c60; padding: 0.2rem 1rem; }
</style>
<h1>A Quorate node</h1>
<p>Node <code>${escaped(nodeId)}</code> keeps one encrypted, signed ledger for a consortium.</p>
${platformNote(platform)}
${hasConsole ? CONSOLE_LINK : ""}
<h2>What it serves</h2>
<ul>
${items.join("\n")}
</ul>
<p>JSON-RPC 2.0 calls go to <code>POST /rpc</code>; the method <code>rpc.discover</code> lists the others.</p>
<h2>Where it listens</h2>
<ul>
${doors.join("\n")}
</ul>
</html>
`;
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");
}
