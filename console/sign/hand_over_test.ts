import { strict as assert } from "node:assert";
import { join } from "node:path";
import fc from "fast-check";
import { equalBytes, fromBase64Url, fromUtf8, toBase64, toBase64Url, toHex, toUtf8 } from "../../shared/bytes.ts";
import { ecdsaSign, ecdsaSignDigest, generateEcPrivateKey, serialiseDerSignature } from "../../shared/crypto/ecdsa.ts";
import { serialisePrivateKeyFile } from "../../shared/crypto/key_file.ts";
import { noblePrimitives } from "../../shared/crypto/primitives.ts";
import { serialiseCertificatePem } from "../../shared/crypto/x509.ts";
import { memberCertificate, randomSerial, signCertificate, validityOfDays } from "../../shared/crypto/x509_build.ts";
import { nameFromText } from "../../shared/crypto/x509_name.ts";
import { finishMemberRequest, type MemberRequest } from "../../shared/governance/member_request.ts";
import type { MemberContext } from "../../node/commands/member/context.ts";
import { readIdentity } from "../../node/commands/member/credentials.ts";
import { assemble, prepare } from "../../node/commands/member/two_step.ts";
import { mutated } from "../../tests/mutations.ts";
import { ProblemError } from "../problem.ts";
import { prepareEnvelope, signEnvelope, signingIdentity } from "./envelope.ts";
import { handOverFiles, HandOverSigner, readPreparedFile, readSignature } from "./hand_over.ts";
import { reviewBytes } from "./said_and_signed.ts";

const random = (length: number) => crypto.getRandomValues(new Uint8Array(length));
const NOW = 1_800_000_000_000;
const REQUEST: MemberRequest = { kind: "withdrawal", proposalId: "cd".repeat(32) };

function newMember(curve: "P-256" | "P-384" | "P-521" = "P-384") {
  const key = generateEcPrivateKey(curve, random);
  const fields = memberCertificate({
    key: key.publicKey,
    subject: nameFromText("CN=member"),
    validity: validityOfDays(NOW, 30),
    serial: randomSerial(random),
  });
  const certificatePem = serialiseCertificatePem(signCertificate(fields, key));
  const { memberId } = signingIdentity(certificatePem);
  return { key, certificatePem, said: { request: REQUEST, memberId, curve, createdAtSeconds: NOW / 1000 } };
}

const contentOf = (files: ReturnType<typeof handOverFiles>, end: string) => {
  const { content } = files.find(({ name }) => name.endsWith(end))!;
  return typeof content === "string" ? toUtf8(content) : content;
};

const refuses = (code: string) => (error: unknown) => error instanceof ProblemError && error.problem.code === code;

Deno.test("openssl signs the bare bytes, a key service the digest, and both signatures are taken", async () => {
  for (const [curve, hash] of [["P-256", "sha256"], ["P-384", "sha384"], ["P-521", "sha512"]] as const) {
    const { key, certificatePem } = newMember(curve);
    const envelope = prepareEnvelope(REQUEST, { certificatePem }, NOW);
    const files = handOverFiles(envelope);
    assert.deepEqual(files.map(({ name }) => name), [
      "withdrawal-cdcdcdcd.json",
      "withdrawal-cdcdcdcd.tbs",
      "withdrawal-cdcdcdcd.digest.json",
    ]);
    const folder = await Deno.makeTempDir({ prefix: "quorate_hand_over_" });
    try {
      await Deno.writeTextFile(join(folder, "key.pem"), serialisePrivateKeyFile(key));
      await Deno.writeFile(join(folder, "tbs"), contentOf(files, ".tbs"));
      const args = ["dgst", `-${hash}`, "-sign", "key.pem", "-out", "sig", "tbs"];
      assert((await new Deno.Command("openssl", { args, cwd: folder }).output()).success);
      const read = readSignature(await Deno.readFile(join(folder, "sig")), envelope, certificatePem);
      assert.equal(read.kind, "verified");
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
    const { alg, value } = JSON.parse(fromUtf8(contentOf(files, ".digest.json")));
    assert.equal(alg, `ES${hash.slice(3)}`);
    const service = JSON.stringify({
      kid: "https://…",
      value: toBase64Url(ecdsaSignDigest(key, fromBase64Url(value))),
    });
    assert.equal(readSignature(toUtf8(service), envelope, certificatePem).kind, "verified");
  }
});

Deno.test("the file goes to `member finish`, and that of `member prepare` comes back here", async () => {
  const { key, certificatePem, said } = newMember();
  const folder = await Deno.makeTempDir({ prefix: "quorate_hand_over_" });
  const file = (name: string, content: string | Uint8Array) => {
    const path = join(folder, name);
    Deno.writeFileSync(path, typeof content === "string" ? toUtf8(content) : content);
    return path;
  };
  const heard: string[] = [];
  const say = (text: string) => void heard.push(text);
  const context: MemberContext = {
    primitives: noblePrimitives,
    output: { line: say, show: say, note: say, document: () => {} },
    nowMs: () => NOW,
    wait: () => Promise.resolve(),
    agree: () => true,
  };
  try {
    const identity = readIdentity(file("cert.pem", certificatePem));
    const envelope = prepareEnvelope(REQUEST, { certificatePem }, NOW);
    const signature = ecdsaSign(key, envelope.toBeSigned);
    const ours = file("ours.json", contentOf(handOverFiles(envelope), ".json"));
    const finished = assemble(context, identity, ours, file("sig", signature))!;
    assert(equalBytes(finished.signature, signature), heard.join("\n"));

    const theirs = join(folder, "theirs.json");
    const options = { out: theirs, createdAtSeconds: NOW / 1000 };
    await prepare(context, undefined, identity, "withdrawal", REQUEST.proposalId, options);
    const back = readPreparedFile(await Deno.readTextFile(theirs));
    assert(equalBytes(back.envelope.toBeSigned, envelope.toBeSigned));
    assert.deepEqual(back.said, said);
    assert.deepEqual(reviewBytes(back.envelope.toBeSigned, back.said).mismatches, []);

    // The same key, the same bytes: what the page would send is what the command sends.
    const signer = {
      kind: "key_file",
      memberId: said.memberId,
      certificatePem,
      sign: (bytes: Uint8Array) => Promise.resolve(ecdsaSign(key, bytes)),
    } as const;
    const { body, target } = await signEnvelope(envelope, said, signer, NOW);
    const command = finishMemberRequest(finished.prepared, finished.signature);
    assert.deepEqual([target, toHex(body)], [command.target, toHex(command.body)]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("a signature that is none, of other bytes, or of another key is refused in words", () => {
  const [{ key, certificatePem }, other] = [newMember(), newMember()];
  const envelope = prepareEnvelope(REQUEST, { certificatePem }, NOW);
  const refused = (file: Uint8Array, certificate = certificatePem) => {
    const read = readSignature(file, envelope, certificate);
    assert(read.kind === "refused");
    return read.problem.code;
  };
  const right = ecdsaSign(key, envelope.toBeSigned);
  assert.equal(refused(toUtf8("hello")), "SignatureUnreadable");
  assert.equal(refused(new Uint8Array(5000)), "SignatureUnreadable");
  assert.equal(refused(ecdsaSign(key, toUtf8("other"))), "SignatureInvalid");
  assert.equal(refused(ecdsaSign(other.key, envelope.toBeSigned)), "SignatureInvalid");
  assert.equal(refused(right, other.certificatePem), "WrongMember");
  for (const each of [right, serialiseDerSignature(right), toUtf8(toHex(right)), toUtf8(`${toBase64(right)}\n`)]) {
    assert.equal(readSignature(each, envelope, certificatePem).kind, "verified");
  }
  fc.assert(fc.property(mutated(right, serialiseDerSignature(right)), (file) => {
    const read = readSignature(file, envelope, certificatePem);
    // A change may be outside of what counts, such as in nothing at all.
    if (read.kind === "verified") assert(equalBytes(read.signature, right));
  }));
});

Deno.test("readPreparedFile() refuses a file whose parts say different things", () => {
  const { certificatePem } = newMember();
  const text = fromUtf8(contentOf(handOverFiles(prepareEnvelope(REQUEST, { certificatePem }, NOW)), ".json"));
  readPreparedFile(text);
  const changed = text.replace("The withdrawal of proposal", "The approval of proposal");
  for (const each of [changed, "", "{}", text.slice(0, -10)]) {
    assert.throws(() => readPreparedFile(each), refuses("PreparedFileUnusable"));
  }
});

Deno.test("HandOverSigner waits for a signature that verifies, or until it is given up", async () => {
  const { key, certificatePem, said } = newMember();
  const envelope = prepareEnvelope(REQUEST, { certificatePem }, NOW);
  const signer = new HandOverSigner(envelope, certificatePem);
  const signing = signEnvelope(envelope, said, signer, NOW);
  assert.equal(signer.offer(toUtf8("no"))!.code, "SignatureUnreadable");
  assert.equal(signer.offer(ecdsaSign(key, envelope.toBeSigned)), undefined);
  assert.equal((await signing).kind, "withdrawal");

  const again = new HandOverSigner(envelope, certificatePem);
  const refused = assert.rejects(signEnvelope(envelope, said, again, NOW), refuses("HandOverGivenUp"));
  again.giveUp();
  await refused;
  await assert.rejects(again.sign(toUtf8("other bytes")), refuses("OtherBytes"));
});
