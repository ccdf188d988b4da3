import { strict as assert } from "node:assert";
import { createHash } from "node:crypto";
import { fuzzDecoder, mutatedText } from "../../tests/mutations.ts";
import { FormatError } from "../assert.ts";
import { fromBase64, toHex, toUtf8 } from "../bytes.ts";
import type { CurveName } from "../crypto/primitives.ts";
import { type MemberRequest, prepareMemberRequest, requestToBeSigned } from "./member_request.ts";
import { MAX_MEMBER_INPUT_BYTES } from "../limits.ts";
import { parsePrepared, serialisePrepared } from "./prepared_file.ts";

const MEMBER = "dad803e5268a30b5df4ed61241c854812d39f7cf90c13322fff12ee73f032b59";
const PROPOSAL = "ac60cf1a3678870eb30eee080238f0814f286908024c795ab59619ae165c8cf1";
const BALLOT: MemberRequest = { kind: "ballot", proposalId: PROPOSAL, ballot: "export function vote() { return 1; }" };
const prepared = (request: MemberRequest, curve: CurveName = "P-384") =>
  prepareMemberRequest(request, { memberId: MEMBER, curve }, 1795338400);

Deno.test("A prepared request comes back from its file byte for byte, whatever kind it is", () => {
  const requests: MemberRequest[] = [
    BALLOT,
    { kind: "proposal", proposal: toUtf8('{"actions":[{"name":"x","args":{"é":"\u202e"}}]}') },
    { kind: "withdrawal", proposalId: PROPOSAL },
    { kind: "state_digest" },
    { kind: "ack", stateDigest: "81c2" },
    { kind: "recovery_share", share: Uint8Array.of(1, 2, 3) },
  ];
  for (const request of requests) {
    const before = prepared(request);
    assert.deepEqual(parsePrepared(serialisePrepared(before)), before, request.kind);
  }
});

Deno.test("A prepared request says what a device must sign, with the hash of the key's curve", () => {
  const hashes = { "P-256": ["ES256", "sha256"], "P-384": ["ES384", "sha384"], "P-521": ["ES512", "sha512"] } as const;
  for (const [curve, [algorithm, name]] of Object.entries(hashes)) {
    const request = prepared(BALLOT, curve as CurveName);
    const file = JSON.parse(serialisePrepared(request));
    assert.deepEqual(fromBase64(file.to_be_signed), requestToBeSigned(request));
    const digest = createHash(name).update(requestToBeSigned(request)).digest();
    assert.deepEqual([file.algorithm, file.digest.hex], [algorithm, toHex(digest)]);
    assert.equal(file.digest.base64, digest.toString("base64"));
    assert.match(file.words.join("\n"), new RegExp(PROPOSAL));
  }
});

Deno.test("The words of a prepared request hold no share, and nothing that steers a terminal", () => {
  const share = toUtf8("my secret share!!");
  const words = JSON.parse(serialisePrepared(prepared({ kind: "recovery_share", share }))).words.join("\n");
  for (const secret of ["my secret", btoa("my secret share!!"), toHex(share)]) assert(!words.includes(secret));
  const ack = JSON.parse(serialisePrepared(prepared({ kind: "ack", stateDigest: "\u001b[2J" })));
  assert(!ack.words.join("").includes("\u001b"));
});

Deno.test("parsePrepared() refuses a file of which one part says something else than the others", () => {
  const file = JSON.parse(serialisePrepared(prepared(BALLOT)));
  const other = JSON.parse(serialisePrepared(prepared({ ...BALLOT, ballot: "export function vote() { return 0; }" })));
  for (const name of ["words", "digest", "to_be_signed", "payload"]) {
    assert.notDeepEqual(file[name], other[name], "the two differ there");
    assert.throws(() => parsePrepared(JSON.stringify({ ...file, [name]: other[name] })), FormatError, name);
  }
  const changes: Record<string, unknown>[] = [
    { target: "/gov/members/proposals:create?api-version=2024-07-01" },
    { algorithm: "ES256" },
    { more: 1 },
    { method: "PUT" },
    { quorate_member_request: 2 },
  ];
  for (const change of changes) {
    assert.throws(() => parsePrepared(JSON.stringify({ ...file, ...change })), FormatError, JSON.stringify(change));
  }
  assert.throws(() => parsePrepared(" ".repeat(MAX_MEMBER_INPUT_BYTES + 1)), FormatError);
});

Deno.test("parsePrepared() answers or throws FormatError for any text", () => {
  fuzzDecoder(
    mutatedText(serialisePrepared(prepared(BALLOT))),
    parsePrepared,
    // White space is all that can change.
    (read) => assert.deepEqual(read, prepared(BALLOT)),
  );
});
