import { strict as assert } from "node:assert";
import { welcomePage } from "./welcome_page.ts";

const page = (platform: "virtual" | "snp" | "tdx" | "sgx") =>
  welcomePage({
    nodeId: "0a".repeat(32),
    platform,
    urls: new Map([["<a>", "https://127.0.0.1:8000/?x=1&y=2"]]),
    hasConsole: false,
  });

Deno.test("the page of a virtual node warns, and that of another asks to be checked", () => {
  assert.match(page("virtual"), /Virtual platform:<\/strong> no hardware protects this node/);
  for (const [platform, name] of [["snp", "AMD SEV-SNP"], ["tdx", "Intel TDX"], ["sgx", "Intel SGX"]] as const) {
    assert.match(page(platform), new RegExp(`protected by ${name}\\. Do not believe a page: .*quote verify`, "s"));
    assert.doesNotMatch(page(platform), /Virtual/);
  }
});

Deno.test("the page shows what comes from a configuration as text", () => {
  assert.ok(page("virtual").includes("<code>https://127.0.0.1:8000/?x=1&amp;y=2</code> &lt;a>"));
});
