import { strict as assert } from "node:assert";
import { join } from "node:path";
import { FormatError } from "../shared/assert.ts";
import { parseSnpReport } from "../shared/attestation/snp_report.ts";
import { fromHex, toBase64, toHex, toUtf8, Writer } from "../shared/bytes.ts";
import { noblePrimitives } from "../shared/crypto/primitives.ts";
import { serialiseCertificatePem } from "../shared/crypto/x509.ts";
import { MAX_ENDORSEMENTS_ANSWER_BYTES } from "../shared/limits.ts";
import { PlatformFailure } from "../enclave/platform/devices.ts";
import { fuzzDecoder, mutated, mutatedText } from "../tests/mutations.ts";
import { snpEvidence, snpVector, vectorFile } from "../tests/snp_vectors.ts";
import { teamTest } from "../tests/team_data.ts";
import { withServer } from "./endorsement_server.ts";
import { type EndorsementsServer, parseAnswer, parseHostCertificates, requestsTo } from "./snp_endorsement_sources.ts";
import { type EndorsementsOptions, snpEndorsements } from "./snp_endorsements.ts";
import { directoryContent, withTempDirectory } from "./test_file_system.ts";

const MILAN = "snp-milan-v3-aci";
const GENOA = "snp-genoa-v3-configfs-tsm";
const TURIN = "snp-turin-v5-aci";

function recorded(id: string) {
  const vector = snpVector(id);
  const { report, chain } = snpEvidence(vector);
  return { report, chain, pems: chain.map(serialiseCertificatePem), atMs: Date.parse(vector.verifyAt) };
}

/** As Azure's hosts have it. */
function hostJson(id: string, tcbm: string): string {
  const { pems: [vcekCert, ...rest] } = recorded(id);
  return JSON.stringify({ cacheControl: "86400", vcekCert, certificateChain: rest.join(""), tcbm });
}

/** Options for a recorded report, and what was logged and waited. */
function asking(id: string, cacheDirectory: string, change: Partial<EndorsementsOptions> = {}) {
  const { report, atMs } = recorded(id);
  const logged: string[] = [];
  const waited: number[] = [];
  const options: EndorsementsOptions = {
    report,
    certificates: new Uint8Array(),
    file: undefined,
    servers: [],
    cacheDirectory,
    nowMs: atMs,
    primitives: noblePrimitives,
    log: (level, message) => void logged.push(`${level} ${message}`),
    wait: (ms) => Promise.resolve(void waited.push(ms)),
    ...change,
  };
  return { options, logged, waited };
}

async function refusal(options: EndorsementsOptions): Promise<string> {
  try {
    await snpEndorsements(options);
  } catch (error) {
    assert.ok(error instanceof PlatformFailure, `${error}`);
    return error.message;
  }
  throw new Error("Nothing was thrown");
}

const azure = (url: string, maxRetriesCount = 3): EndorsementsServer => ({ type: "Azure", url, maxRetriesCount });

teamTest("requestsTo() asks as CCF does", () => {
  const milan = parseSnpReport(recorded(MILAN).report);
  const chip = toHex(milan.chipId);
  const targets = (type: EndorsementsServer["type"], report = milan) =>
    requestsTo({ type, url: "example.com", maxRetriesCount: 0 }, report).map(({ target }) => target);
  assert.deepEqual(targets("Azure"), [
    `/SevSnpVM/certificates/${chip}/db18000000000004?api-version=2020-10-15-preview`,
  ]);
  assert.deepEqual(targets("AMD"), [
    `/vcek/v1/Milan/${chip}?blSPL=4&teeSPL=0&snpSPL=24&ucodeSPL=219`,
    "/vcek/v1/Milan/cert_chain",
  ]);
  assert.deepEqual(targets("THIM"), [
    `/metadata/THIM/amd/certification?platformId=${chip}&tcbVersion=db18000000000004`,
  ]);
  assert.deepEqual(targets("AMD", parseSnpReport(recorded(TURIN).report)), [
    "/vcek/v1/Turin/59790fb1c39f35c1?fmcSPL=1&blSPL=1&teeSPL=1&snpSPL=4&ucodeSPL=81",
    "/vcek/v1/Turin/cert_chain",
  ]);
});

teamTest("requestsTo() knows each server's port, and refuses what is no server", () => {
  const report = parseSnpReport(recorded(MILAN).report);
  const first = (type: EndorsementsServer["type"], url: string) =>
    requestsTo({ type, url, maxRetriesCount: 0 }, report)[0]!;
  assert.deepEqual(first("AMD", "kdsintf.amd.com").address, { host: "kdsintf.amd.com", port: 443 });
  assert.deepEqual(first("Azure", "[::1]:8443").address, { host: "::1", port: 8443 });
  assert.deepEqual(first("THIM", "169.254.169.254").address, { host: "169.254.169.254", port: 80 });
  assert.equal(first("THIM", "x").isTls, false);
  assert.equal(first("AMD", "x").isTls, true);
  for (const url of ["", "https://kdsintf.amd.com", "a b", "host:0", "host:99999", "host/path"]) {
    assert.throws(() => first("AMD", url), FormatError, url);
  }
});

teamTest(
  "certificates come from Azure's cache, and are kept for the next start",
  () =>
    withTempDirectory(async (directory) => {
      const { pems } = recorded(MILAN);
      await withServer(true, [{ body: pems.join("\r\n") }], async (url, asked) => {
        const { options, logged } = asking(MILAN, directory, { servers: [azure(url)] });
        assert.deepEqual(await snpEndorsements(options), { pem: pems.join("") });
        assert.equal(asked.length, 1);
        assert.equal(logged.at(-1), `info Certificates for this node's report come from Azure at ${url}`);
        // The server has nothing more to give.
        assert.deepEqual(await snpEndorsements(options), { pem: pems.join("") });
        assert.equal(asked.length, 1);
        assert.equal(
          logged.at(-1),
          "info Certificates for this node's report come from what an earlier start has kept",
        );
      });
      const [name] = [...directoryContent(directory).keys()];
      assert.match(name!, /^snp_4ffb5c[0-9a-f]{122}_db18000000000004\.pem$/);
    }),
);

teamTest("what was kept and no longer fits is fetched anew", () =>
  withTempDirectory(async (directory) => {
    const { pems, report } = recorded(MILAN);
    const { chipId } = parseSnpReport(report);
    const path = join(directory, `snp_${toHex(chipId)}_db18000000000004.pem`);
    for (const kept of ["", "no certificate", recorded(GENOA).pems.join("")]) {
      await Deno.writeTextFile(path, kept);
      await withServer(true, [{ body: pems.join("") }], async (url) => {
        const { options } = asking(MILAN, directory, { servers: [azure(url)] });
        assert.deepEqual(await snpEndorsements(options), { pem: pems.join("") });
      });
      assert.equal(await Deno.readTextFile(path), pems.join(""));
    }
  }));

teamTest("certificates come from AMD in two answers", () =>
  withTempDirectory(async (directory) => {
    const { chain, pems } = recorded(TURIN);
    await withServer(true, [{ body: chain[0]! }, { body: pems[1]! + pems[2]! }], async (url, asked) => {
      const servers = [{ type: "AMD", url, maxRetriesCount: 0 } as const];
      const { options } = asking(TURIN, directory, { servers });
      assert.deepEqual(await snpEndorsements(options), { pem: pems.join("") });
      assert.equal(asked[1], "GET /vcek/v1/Turin/cert_chain");
    });
  }));

teamTest(
  "certificates come from the machine's host in Azure, without TLS",
  () =>
    withTempDirectory(async (directory) => {
      await withServer(false, [{ body: hostJson(MILAN, "DB18000000000004") }], async (url, asked) => {
        const { options } = asking(MILAN, directory, { servers: [{ type: "THIM", url, maxRetriesCount: 0 }] });
        assert.deepEqual(await snpEndorsements(options), { pem: recorded(MILAN).pems.join("") });
        assert.match(asked[0]!, /^GET \/metadata\/THIM\/amd\/certification\?.* Metadata$/);
      });
    }),
);

teamTest(
  "a configured file comes first, and says for which TCB version it is",
  () =>
    withTempDirectory(async (directory) => {
      const file = `${toBase64(toUtf8(hostJson(MILAN, "DB18000000000004")))}\n`;
      const { options } = asking(MILAN, directory, { file });
      assert.deepEqual(await snpEndorsements(options), {
        pem: recorded(MILAN).pems.join(""),
        endorsedTcb: "DB18000000000004",
      });
    }),
);

teamTest("a configured file for older firmware gives way to a server", () =>
  withTempDirectory(async (directory) => {
    const file = toBase64(toUtf8(hostJson(MILAN, "DB17000000000004")));
    const pem = recorded(MILAN).pems.join("");
    await withServer(true, [{ body: pem }], async (url) => {
      const { options, logged } = asking(MILAN, directory, { file, servers: [azure(url)] });
      assert.deepEqual(await snpEndorsements(options), { pem });
      assert.match(
        logged[0]!,
        /file has none that fit: it is for TCB version DB17000000000004, and the report has DB18000000000004$/,
      );
    });
  }));

teamTest(
  "recorded certificates of the hypervisor are enough, without any server",
  () =>
    withTempDirectory(async (directory) => {
      const certificates = vectorFile(`snp/${GENOA}/auxblob.bin`);
      const { options, logged } = asking(GENOA, directory, { certificates });
      const { pem } = await snpEndorsements(options);
      assert.equal(pem, recorded(GENOA).pems.join(""));
      assert.equal(logged.at(-1), "info Certificates for this node's report come from the hypervisor");
    }),
);

teamTest(
  "a provider's key in the place of the chip's is told as what it is",
  () =>
    withTempDirectory(async (directory) => {
      const certificate = snpEvidence(snpVector("snp-milan-v3-vlek-a")).chain[0]!;
      const certificates = new Writer().bytes(fromHex("a8074bc2a25a483eaae639c045a0b8a1")).u32(48).u32(
        certificate.length,
      )
        .zeros(24).bytes(certificate).finish();
      const { options } = asking(MILAN, directory, { certificates });
      assert.match(
        await refusal(options),
        /the hypervisor: it gave a certificate of the provider's key \(VLEK\), and by CCF's/,
      );
    }),
);

teamTest(
  "a busy server is asked again when it says so, and a broken one after a second",
  () =>
    withTempDirectory(async (directory) => {
      const pem = recorded(MILAN).pems.join("");
      const answers = [
        { status: 429, headers: { "retry-after": "7" } },
        { status: 503 },
        { status: 429, headers: { "retry-after": "999999" } },
        { body: pem },
      ];
      await withServer(true, answers, async (url, asked) => {
        const { options, waited } = asking(MILAN, directory, { servers: [azure(url)] });
        assert.deepEqual(await snpEndorsements(options), { pem });
        assert.deepEqual(waited, [7000, 1000, 60_000]);
        assert.equal(asked.length, 4);
      });
    }),
);

teamTest(
  "a server is asked no more often than configured, and then the next one",
  () =>
    withTempDirectory(async (directory) => {
      const pem = recorded(MILAN).pems.join("");
      await withServer(true, [], (first, asked) =>
        withServer(true, [{ body: pem }], async (second) => {
          const { options } = asking(MILAN, directory, { servers: [azure(first, 2), azure(second)] });
          assert.deepEqual(await snpEndorsements(options), { pem });
          assert.equal(asked.length, 3);
        }));
    }),
);

teamTest("a server that knows no such chip is not asked again", () =>
  withTempDirectory(async (directory) => {
    await withServer(true, [{ status: 404 }], async (url, asked) => {
      const { options } = asking(MILAN, directory, { servers: [azure(url)] });
      assert.match(
        await refusal(options),
        /Azure at 127\.0\.0\.1:\d+: 127\.0\.0\.1:\d+\/SevSnpVM.* answers 404\. Name servers/,
      );
      assert.equal(asked.length, 1);
    });
  }));

teamTest("each source says why it was of no use", () =>
  withTempDirectory(async (directory) => {
    const answers = [{ body: "<html>" }, { body: recorded(GENOA).pems.join("") }];
    await withServer(true, answers, async (url) => {
      const { options } = asking(MILAN, directory, { file: "!", servers: [azure(url, 0), azure(url, 0)] });
      const message = await refusal(options);
      assert.match(message, /^Cannot get certificates for this node's report\. the configured file: /);
      assert.match(message, /what an earlier start has kept: nothing is there\. the hypervisor: it gave none of them/);
      assert.match(message, /There is no certificate in PEM\. Azure at .*: signature: /);
      assert.match(
        message,
        /in \/attestation\/snp_endorsements_servers, or a file in \/attestation\/snp_endorsements_file$/,
      );
    });
    assert.equal(directoryContent(directory).size, 0, "nothing that does not fit is kept");
  }));

teamTest(
  "an answer without end is cut off, and a server that is not there is told",
  () =>
    withTempDirectory(async (directory) => {
      const endless = { body: new Uint8Array(MAX_ENDORSEMENTS_ANSWER_BYTES + 1) };
      let gone = "";
      await withServer(true, [endless], async (url) => {
        gone = url;
        const { options } = asking(MILAN, directory, { servers: [azure(url, 0)] });
        assert.match(await refusal(options), /the answer has more than 131072 bytes/);
      });
      const { options } = asking(MILAN, directory, { servers: [azure(gone, 0)] });
      assert.match(await refusal(options), /Cannot ask 127\.0\.0\.1:\d+: .*refused/i);
    }),
);

teamTest("a node that is stopped does not wait for a server", () =>
  withTempDirectory(async (directory) => {
    await withServer(true, [{ hangs: true }], async (url, asked) => {
      const controller = new AbortController();
      const { options } = asking(MILAN, directory, { servers: [azure(url)], signal: controller.signal });
      const answer = refusal(options);
      while (asked.length === 0) await new Promise((resolve) => setTimeout(resolve, 1));
      controller.abort();
      assert.match(await answer, /the node was stopped/);
      assert.equal(asked.length, 1);
    });
  }));

teamTest("certificates that cannot be kept are used all the same", async () => {
  const certificates = vectorFile(`snp/${GENOA}/auxblob.bin`);
  const { options, logged } = asking(GENOA, "/nowhere/at/all", { certificates });
  assert.equal((await snpEndorsements(options)).pem, recorded(GENOA).pems.join(""));
  assert.match(logged.at(-1)!, /^fail Cannot keep certificates for this node's report in \/nowhere\/at\/all\/snp_/);
});

teamTest(
  "evidence that no certificates can save is not blamed on a server",
  () =>
    withTempDirectory(async (directory) => {
      const { pems, report } = recorded(MILAN);
      const changed = report.slice();
      changed[0x50]! ^= 1; // report data
      await withServer(true, [{ body: pems.join("") }], async (url) => {
        const { options } = asking(MILAN, directory, { report: changed, servers: [azure(url, 0)] });
        assert.match(await refusal(options), /Azure at .*: signature: /);
      });
    }),
);

teamTest("answers and files are read, or refused with a sentence", () => {
  const { chain, pems } = recorded(MILAN);
  assert.deepEqual(parseAnswer({ answer: "certificates in PEM" }, toUtf8(pems.join(""))), chain);
  assert.deepEqual(parseHostCertificates(toBase64(toUtf8(hostJson(MILAN, "1")))), { tcbm: "1", certificates: chain });
  fuzzDecoder(mutated(toUtf8(hostJson(MILAN, "DB18000000000004"))), (body) => parseAnswer({ answer: "THIM" }, body));
  fuzzDecoder(mutated(toUtf8(pems.join(""))), (body) => parseAnswer({ answer: "certificates in PEM" }, body));
  fuzzDecoder(mutatedText(toBase64(toUtf8(hostJson(MILAN, "1")))), parseHostCertificates);
});
