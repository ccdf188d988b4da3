/**
 * Where this page came from, which decides what it may be believed and what it can do.
 *
 * relay: `deno task run console` on this machine, started by whoever reads the page; it sees the node's certificate.
 * served: the node that the page judges also sent the page: a banner says so for as long as it is open.
 * file: opened from disk; any other local page shares its storage, so that no key is kept there.
 * host: some other web server.
 */

import { parseRoute } from "../routes.ts";

export type PageOrigin = "relay" | "served" | "file" | "host";

const TOKEN_KEY = "quorate.relay_token";

/**
 * Whether the relay can have served a page: it listens on this machine alone, and without TLS. Anybody can write a link with
 * a token in it; a page from elsewhere, or from disk, would say then that it came from this computer.
 */
export function isRelayPlace({ protocol, hostname }: Pick<URL, "protocol" | "hostname">): boolean {
  return protocol === "http:" && (hostname === "127.0.0.1" || hostname === "localhost");
}

/** The relay's token, from the printed URL or from earlier in this tab. It is taken out of the address at once. */
export function takeRelayToken(): string | undefined {
  const isRelays = isRelayPlace(location);
  const route = parseRoute(location.hash);
  const token = route?.query.get("relay");
  if (token) {
    if (isRelays) sessionStorage.setItem(TOKEN_KEY, token);
    route!.query.delete("relay");
    const query = route!.query.size === 0 ? "" : `?${route!.query}`;
    history.replaceState(null, "", `#/${route!.page}${query}`);
  }
  return isRelays ? sessionStorage.getItem(TOKEN_KEY) ?? undefined : undefined;
}

export function pageOrigin(relayToken: string | undefined): PageOrigin {
  if (location.protocol === "file:") return "file";
  if (relayToken !== undefined) return "relay";
  return location.pathname.startsWith("/console") ? "served" : "host";
}

/** For people: who sent this page, in one sentence. */
export const ORIGIN_WORDS: Readonly<Record<PageOrigin, { readonly short: string; readonly long: string }>> = {
  relay: {
    short: "this computer's relay",
    long: "The page came from the relay on this computer, which sees the node's certificate and passes bytes on.",
  },
  served: {
    short: "the node you are verifying",
    long: "The page was served by the node that it verifies. A node that lies could send a page that lies too: open " +
      "console.html from disk, or run `deno task run console`, before you rely on what it says.",
  },
  file: {
    short: "a file on this computer",
    long:
      "The page was opened from disk. Compare its hash with the published one. Other local pages share its storage, " +
      "so it keeps no keys.",
  },
  host: {
    short: globalThis.location?.host ?? "a web server",
    long: `The page was served by ${
      globalThis.location?.host ?? "a web server"
    }. What it says is worth as much as that server.`,
  },
};
