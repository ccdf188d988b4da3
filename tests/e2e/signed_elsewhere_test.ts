import { strict as assert } from "node:assert";
import { join } from "node:path";
import { shellQuoted } from "../../console/pages/apps/app_facts.ts";
import { reviewBytes } from "../../console/sign/said_and_signed.ts";
import { equalBytes, fromUtf8 } from "../../shared/bytes.ts";
import { generateEcPrivateKey } from "../../shared/crypto/ecdsa.ts";
import { memberIdOf } from "../../shared/crypto/identifiers.ts";
import { serialiseCertificatePem } from "../../shared/crypto/x509.ts";
import { memberCertificate, randomSerial, signCertificate, validityOfDays } from "../../shared/crypto/x509_build.ts";
import { nameFromText } from "../../shared/crypto/x509_name.ts";
import { prepareMemberRequest, requestToBeSigned } from "../../shared/governance/member_request.ts";
import { fromFileUrl } from "../paths.ts";
import { MEMBER_REQUESTS } from "../member_requests.ts";

const TIME = 1_800_000_000;

/** What people would type: the command that is shown, in a folder with the files that it names. */
async function run(folder: string, command: string): Promise<string> {
  const main = fromFileUrl(new URL("../../node/main.ts", import.meta.url));
  const line = command.replace("deno task run", `'${Deno.execPath()}' run --no-prompt -A '${main}'`);
  const { success, stdout, stderr } = await new Deno.Command("sh", { args: ["-c", line], cwd: folder }).output();
  assert(success, `${command}: ${fromUtf8(stderr)}`);
  return fromUtf8(stdout);
}

Deno.test("another machine makes the same digests, from the words alone, by the commands that are shown", async () => {
  const key = generateEcPrivateKey("P-384", (length) => crypto.getRandomValues(new Uint8Array(length)));
  const certificate = signCertificate(
    memberCertificate({
      key: key.publicKey,
      subject: nameFromText("CN=member"),
      validity: validityOfDays(TIME * 1000, 30),
      serial: randomSerial((length) => crypto.getRandomValues(new Uint8Array(length))),
    }),
    key,
  );
  const member = { memberId: memberIdOf(certificate), curve: "P-384" } as const;
  const prepared = await Promise.all(MEMBER_REQUESTS.map(async (request) => {
    const folder = await Deno.makeTempDir({ prefix: "quorate_digest_" });
    try {
      const bytes = requestToBeSigned(prepareMemberRequest(request, member, TIME));
      const { signed } = reviewBytes(bytes, { request, ...member, createdAtSeconds: TIME });
      if (signed!.again === undefined) return request.kind;
      await Deno.writeTextFile(join(folder, "member_cert.pem"), serialiseCertificatePem(certificate));
      if (signed!.text !== undefined) {
        await Deno.writeTextFile(join(folder, "payload.json"), signed!.text.join("\n"));
        await Deno.writeTextFile(join(folder, "ballot.js"), signed!.text.join("\n"));
      }
      await run(folder, signed!.again);
      assert(equalBytes(await Deno.readFile(join(folder, "again.tbs")), bytes), request.kind);
      for (const { command, hex } of signed!.digests) {
        if (command !== undefined) assert((await run(folder, command)).trim().endsWith(`= ${hex}`), command);
      }
      const file = await Deno.readTextFile(join(folder, "again.json"));
      assert(file.includes(signed!.digests[0]!.hex), "the file for a device has the first digest");
      return undefined;
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  }));
  assert.deepEqual(prepared.filter((kind) => kind !== undefined), ["proposal_dry_run", "recovery_share"]);
});

Deno.test("shellQuoted() makes one argument of a path, which a shell does not look into", async () => {
  for (const path of ["/app/log?id=42", "/app/$(touch x)`id`\"'; echo $HOME #", "/app/ü\n"]) {
    const { stdout } = await new Deno.Command("sh", { args: ["-c", `printf %s ${shellQuoted(path)}`] }).output();
    assert.equal(new TextDecoder().decode(stdout), path);
  }
});
