/**
 * A script in headless Chromium, for tests and figures of what a web page can do.
 *
 * In: the script's file, which is bundled as for any page; a folder that it may read; what it is asked, as a query. Out:
 * the JSON that it posts to `/answer`.
 * The page is served on 127.0.0.1 and may reach nothing else; its policy forbids code made from text, and WebAssembly but
 * where that is asked for. It gets no secret.
 */

import { fileURLToPath } from "node:url";
import { join } from "./paths.ts";

/** Longer than any page here works, on a busy machine: a page that says nothing has failed to start. */
const PAGE_TIMEOUT_MS = 300_000;

const PROGRAM = "chromium";
const WHY_NOT = `there is no ${PROGRAM} to start; install it, e.g. by apt-get`;
/** Of the page and of workers that it starts from its script. */
const policyOf = (wasm: boolean) =>
  `default-src 'none'; script-src 'self'${wasm ? " 'wasm-unsafe-eval'" : ""}; connect-src 'self'`;

/** Chromium's version as it says it, or undefined where there is none. */
export async function chromiumVersion(): Promise<string | undefined> {
  try {
    const { stdout, success } = await new Deno.Command(PROGRAM, { args: ["--version"], stderr: "null" }).output();
    return success ? new TextDecoder().decode(stdout).trim() : undefined;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** Runs a test's body where there is Chromium; elsewhere says that it is skipped, and with `CI` set fails. */
export async function withChromium(test: () => Promise<void>): Promise<void> {
  if (await chromiumVersion() !== undefined) return await test();
  if (Deno.env.has("CI")) throw new Error(`Cannot test in a browser: ${WHY_NOT}`);
  console.log(`1 skipped: ${WHY_NOT}`);
}

/** The script, with all that it imports, as one file without imports. It must need nothing but a browser. */
export async function bundled(script: URL): Promise<string> {
  const config = fileURLToPath(new URL("../deno.json", import.meta.url));
  const { stdout, stderr, success } = await new Deno.Command("deno", {
    args: ["bundle", "--quiet", "--config", config, "--platform", "browser", fileURLToPath(script)],
  }).output();
  if (!success) throw new Error(`Cannot bundle ${script}: ${new TextDecoder().decode(stderr)}`);
  return new TextDecoder().decode(stdout);
}

/**
 * Opens a new page, in a new browser, with a bundled script, and waits for its answer.
 *
 * @param folder its files are served below `/files/`; `/names` lists them
 * @param wasm whether the page may compile WebAssembly
 * @throws Error where the page has failed, as it says itself, or the browser ends or says nothing
 */
export async function answerOfPage(
  bundle: string,
  folder: string,
  query: Record<string, string>,
  { wasm = false }: { readonly wasm?: boolean } = {},
): Promise<unknown> {
  const headers = (type: string) => ({ "content-type": type, "content-security-policy": policyOf(wasm) });
  const names = filesIn(folder);
  const answer = Promise.withResolvers<unknown>();
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, async (request) => {
    const { pathname } = new URL(request.url);
    const name = decodeURIComponent(pathname).replace("/files/", "");
    if (request.method === "POST" && pathname === "/answer") {
      answer.resolve(await request.json());
      return new Response();
    }
    if (pathname === "/") {
      const page = `<!doctype html><script type="module" src="/script.js"></script>`;
      return new Response(page, { headers: headers("text/html") });
    }
    if (pathname === "/script.js") return new Response(bundle, { headers: headers("text/javascript") });
    if (pathname === "/names") return Response.json(names);
    if (names.includes(name)) return new Response(Deno.readFileSync(join(folder, name)));
    return new Response(undefined, { status: 404 });
  });
  const profile = await Deno.makeTempDir({ prefix: "quorate_chromium_" });
  const browser = new Deno.Command(PROGRAM, {
    args: [
      "--headless",
      // Its sandbox needs rights that containers and root lack; the one page it opens is ours.
      "--no-sandbox",
      "--disable-gpu",
      "--disable-dev-shm-usage",
      "--disable-background-networking",
      "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
      "--no-first-run",
      `--user-data-dir=${profile}`,
      `http://127.0.0.1:${server.addr.port}/?${new URLSearchParams(query)}`,
    ],
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  const timer = setTimeout(() => answer.reject(new Error("Cannot wait longer for a page's answer")), PAGE_TIMEOUT_MS);
  browser.status.then(({ code }) => answer.reject(new Error(`Chromium ended with exit code ${code} and no answer`)));
  try {
    const { value, error } = await answer.promise as { value?: unknown; error?: string };
    if (error !== undefined) throw new Error(`Cannot do in a page what was asked: ${error}`);
    return value;
  } finally {
    clearTimeout(timer);
    try {
      browser.kill();
    } catch {
      // It has ended by itself.
    }
    await browser.status;
    await server.shutdown();
    await removeProfile(profile);
  }
}

/** Chromium's own processes write for a moment after it has ended. */
async function removeProfile(folder: string): Promise<void> {
  for (let tries = 20;; tries--) {
    try {
      return await Deno.remove(folder, { recursive: true });
    } catch (error) {
      if (tries === 0) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

/** Paths of all files, relative to the folder. */
function filesIn(folder: string, below = ""): string[] {
  return [...Deno.readDirSync(join(folder, below))].flatMap(({ name, isDirectory }) =>
    isDirectory ? filesIn(folder, `${below}${name}/`) : [`${below}${name}`]
  );
}
