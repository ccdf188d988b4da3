import { strict as assert } from "node:assert";
import { fromHex, fromUtf8, toUtf8 } from "../shared/bytes.ts";
import { noblePrimitives } from "../shared/crypto/primitives.ts";
import { PlatformFailure } from "../enclave/platform/devices.ts";
import { makeDcap } from "../tests/dcap_machine.ts";
import { type CollateralOptions, dcapCollateral } from "./dcap_collateral.ts";
import { type Answer, withServer } from "./endorsement_server.ts";
import { directoryContent, withTempDirectory } from "./test_file_system.ts";

const TDX = makeDcap();
const SGX = makeDcap({ version: 3, kind: "sgx" });

/** What a cache of Intel's service answers, in the order in which it is asked. */
function pccsAnswers({ collateral }: typeof TDX): Answer[] {
  const statement = (name: string, text: string, signature: string) => `{"${name}":${text},"signature":"${signature}"}`;
  const issued = (header: string, chain: string) => ({ [header]: encodeURIComponent(chain) });
  return [
    {
      body: statement("tcbInfo", collateral.tcb_info, collateral.tcb_info_signature),
      headers: issued("TCB-Info-Issuer-Chain", collateral.tcb_info_issuer_chain),
    },
    {
      body: statement("enclaveIdentity", collateral.qe_identity, collateral.qe_identity_signature),
      headers: issued("SGX-Enclave-Identity-Issuer-Chain", collateral.qe_identity_issuer_chain),
    },
    {
      body: fromHex(collateral.pck_crl!),
      headers: issued("SGX-PCK-CRL-Issuer-Chain", collateral.pck_crl_issuer_chain!),
    },
    { body: collateral.root_ca_crl! },
  ];
}

function asking(cacheDirectory: string, change: Partial<CollateralOptions> = {}) {
  const logged: string[] = [];
  const options: CollateralOptions = {
    kind: "tdx",
    quote: TDX.quote,
    file: undefined,
    server: "127.0.0.1:1",
    cacheDirectory,
    nowMs: TDX.at,
    primitives: noblePrimitives,
    pins: TDX.pins,
    log: (level, message) => void logged.push(`${level} ${message}`),
    wait: () => Promise.resolve(),
    ...change,
  };
  return { options, logged };
}

async function refusal(options: CollateralOptions): Promise<string> {
  try {
    await dcapCollateral(options);
  } catch (error) {
    assert.ok(error instanceof PlatformFailure, `${error}`);
    return error.message;
  }
  throw new Error("Nothing was thrown");
}

for (const [kind, made] of [["tdx", TDX], ["sgx", SGX]] as const) {
  Deno.test(`collateral of ${kind} comes from a cache of Intel's service, and is kept for the next start`, () =>
    withTempDirectory((directory) =>
      withServer(true, pccsAnswers(made), async (server, asked) => {
        const { options, logged } = asking(directory, { kind, quote: made.quote, server, pins: made.pins });
        assert.deepEqual(JSON.parse(fromUtf8(await dcapCollateral(options))), made.collateral);
        assert.deepEqual(asked, [
          `GET /${kind}/certification/v4/tcb?fmspc=00a1b2c3d4e5`,
          `GET /${kind}/certification/v4/qe/identity`,
          "GET /sgx/certification/v4/pckcrl?ca=platform&encoding=der",
          "GET /sgx/certification/v4/rootcacrl",
        ]);
        assert.deepEqual(JSON.parse(fromUtf8(await dcapCollateral(options))), made.collateral);
        assert.equal(asked.length, 4);
        assert.equal(
          logged.at(-1),
          "info Intel's statements on this node's platform come from what an earlier start has kept",
        );
        assert.deepEqual([...directoryContent(directory).keys()], [`dcap_${kind}_00a1b2c3d4e5_platform.json`]);
      })
    ));
}

Deno.test("collateral in a configured file comes first", () =>
  withTempDirectory(async (directory) => {
    const { options, logged } = asking(directory, { file: JSON.stringify(TDX.collateral) });
    assert.deepEqual(JSON.parse(fromUtf8(await dcapCollateral(options))), TDX.collateral);
    assert.equal(logged.at(-1), "info Intel's statements on this node's platform come from the configured file");
  }));

Deno.test("collateral that is no more in force is asked for anew", () =>
  withTempDirectory((directory) =>
    withServer(true, pccsAnswers(TDX), async (server, asked) => {
      const dates = (info: { issueDate: string; nextUpdate: string }) => {
        info.issueDate = "2026-05-01T00:00:00Z";
        info.nextUpdate = "2026-06-01T00:00:00Z";
      };
      const old = JSON.stringify(makeDcap({ tcbInfo: dates }).collateral);
      const { options, logged } = asking(directory, { file: old, server });
      assert.deepEqual(JSON.parse(fromUtf8(await dcapCollateral(options))), TDX.collateral);
      assert.equal(asked.length, 4);
      assert.match(
        logged[0]!,
        /^debug Of Intel's statements on this node's platform, the configured file has none that fit: /,
      );
    })
  ));

Deno.test("each source says why it was of no use, and nothing of it is kept", () =>
  withTempDirectory(async (directory) => {
    await withServer(true, [{ status: 404 }], async (server, asked) => {
      const { options } = asking(directory, { file: "{}", server });
      assert.match(
        await refusal(options),
        /^Cannot get Intel's statements .* the configured file: Cannot read JSON .* kept: nothing is there\. .* answers 404\. Name a/,
      );
      assert.equal(asked.length, 1);
    });
    const other = pccsAnswers(makeDcap({ tcbInfo: (info) => info.fmspc = "00A1B2C3D4E6" }));
    await withServer(true, other, async (server) => {
      assert.match(await refusal(asking(directory, { server }).options), /127\.0\.0\.1:\d+: [^.]*FMSPC/i);
    });
    const [tcbInfo, ...rest] = pccsAnswers(TDX);
    await withServer(true, [{ ...tcbInfo!, headers: { "TCB-Info-Issuer-Chain": "%" } }, ...rest], async (server) => {
      assert.match(await refusal(asking(directory, { server }).options), /its issuer chain is not URL-encoded/);
    });
    assert.equal(directoryContent(directory).size, 0);
  }));

Deno.test("a quote that does not name its platform is refused before anybody is asked", async () => {
  assert.match(
    await refusal(asking("/nowhere", { quote: toUtf8("no quote") }).options),
    /^Cannot tell which platform this node's quote is of: /,
  );
});
