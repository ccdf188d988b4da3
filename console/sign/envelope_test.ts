import { strict as assert } from "node:assert";
import { toUtf8 } from "../../shared/bytes.ts";
import { ecdsaSign, generateEcPrivateKey } from "../../shared/crypto/ecdsa.ts";
import { noblePrimitives } from "../../shared/crypto/primitives.ts";
import { parseCoseSign1, verifyCoseSign1 } from "../../shared/crypto/cose.ts";
import { serialiseCertificatePem } from "../../shared/crypto/x509.ts";
import { memberCertificate, randomSerial, signCertificate, validityOfDays } from "../../shared/crypto/x509_build.ts";
import { nameFromText } from "../../shared/crypto/x509_name.ts";
import { type MemberRequest, PLAIN_BALLOTS } from "../../shared/governance/member_request.ts";
import { MAX_MEMBER_INPUT_BYTES } from "../../shared/limits.ts";
import { ProblemError } from "../problem.ts";
import { certificateWarnings, prepareEnvelope, signEnvelope, type Signer, signingIdentity } from "./envelope.ts";

const random = (length: number) => crypto.getRandomValues(new Uint8Array(length));
const NOW = 1_800_000_000_000;
const REQUEST: MemberRequest = { kind: "ballot", proposalId: "cd".repeat(32), ballot: PLAIN_BALLOTS.yes };
const refuses = (code: string) => (error: unknown) => error instanceof ProblemError && error.problem.code === code;

function newSigner(): Signer & { asked: number } {
  const key = generateEcPrivateKey("P-384", random);
  const fields = memberCertificate({
    key: key.publicKey,
    subject: nameFromText("CN=member"),
    validity: validityOfDays(NOW, 30),
    serial: randomSerial(random),
  });
  const certificatePem = serialiseCertificatePem(signCertificate(fields, key));
  return {
    kind: "key_file",
    asked: 0,
    certificatePem,
    memberId: signingIdentity(certificatePem).memberId,
    sign(bytes) {
      this.asked++;
      return Promise.resolve(ecdsaSign(key, bytes));
    },
  };
}

const saidBy = ({ memberId }: Signer, request: MemberRequest = REQUEST) =>
  ({ request, memberId, curve: "P-384", createdAtSeconds: NOW / 1000 }) as const;

Deno.test("signEnvelope() makes a message that the member's certificate verifies", async () => {
  const signer = newSigner();
  const envelope = await signEnvelope(prepareEnvelope(REQUEST, signer, NOW + 999), saidBy(signer), signer, NOW + 5000);
  const { key } = signingIdentity(signer.certificatePem);
  assert(verifyCoseSign1(noblePrimitives, key, parseCoseSign1(envelope.body)));
  assert.equal(envelope.createdAtSeconds, NOW / 1000, "whole seconds of the page's clock");
  assert.equal(
    envelope.target,
    `/gov/members/proposals/${"cd".repeat(32)}/ballots/${signer.memberId}:submit?api-version=2024-07-01`,
  );
  assert.match(envelope.id, /^[0-9a-f]{64}$/);
});

Deno.test("where form and bytes differ, no key is asked to sign", async () => {
  const signer = newSigner();
  const prepared = prepareEnvelope(REQUEST, signer, NOW);
  const no = { ...REQUEST, ballot: PLAIN_BALLOTS.no } as MemberRequest;
  await assert.rejects(signEnvelope(prepared, saidBy(signer, no), signer, NOW), refuses("SaidIsNotSigned"));
  // The bytes that are signed are the ones that were reviewed, whatever stands beside them.
  const other = prepareEnvelope(no, signer, NOW);
  const mixed = { prepared: prepared.prepared, toBeSigned: other.toBeSigned };
  await assert.rejects(signEnvelope(mixed, saidBy(signer), signer, NOW), refuses("SaidIsNotSigned"));
  assert.equal(signer.asked, 0);
  await assert.rejects(signEnvelope(mixed, saidBy(signer, no), signer, NOW), refuses("SignatureInvalid"));
});

Deno.test("signEnvelope() refuses another member's request, and a signature that does not verify", async () => {
  const [signer, other] = [newSigner(), newSigner()];
  const prepared = prepareEnvelope(REQUEST, signer, NOW);
  await assert.rejects(signEnvelope(prepared, saidBy(signer), other, NOW), refuses("WrongMember"));
  assert.equal(other.asked, 0);
  const forged: Signer = { ...signer, sign: (bytes) => other.sign(bytes) };
  await assert.rejects(signEnvelope(prepared, saidBy(signer), forged, NOW), refuses("SignatureInvalid"));
});

Deno.test("prepareEnvelope() says what cannot be put into a request", () => {
  const signer = newSigner();
  const refused = (code: string, request: MemberRequest, nowMs = NOW) =>
    assert.throws(() => prepareEnvelope(request, signer, nowMs), refuses(code));
  refused("InvalidProposalId", { kind: "withdrawal", proposalId: "CD".repeat(32) });
  refused("RequestUnusable", { kind: "proposal", proposal: Uint8Array.of(0xff) });
  refused("RequestTooLarge", { kind: "proposal", proposal: toUtf8(" ".repeat(MAX_MEMBER_INPUT_BYTES + 1)) });
  refused("ClockUnusable", REQUEST, 1e13);
  refused("ClockUnusable", REQUEST, -1000);
});

Deno.test("certificateWarnings() compares a certificate's dates with the page's clock", () => {
  const { certificatePem } = newSigner();
  const codes = (nowMs: number) => certificateWarnings(certificatePem, nowMs).map(({ code }) => code);
  assert.deepEqual(codes(NOW), []);
  assert.deepEqual(codes(NOW - 1), ["CertificateNotYetValid"]);
  assert.deepEqual(codes(NOW + 31 * 86_400_000), ["CertificateExpired"]);
});
