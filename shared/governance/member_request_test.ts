import { strict as assert } from "node:assert";
import { createPublicKey, verify } from "node:crypto";
import { decode } from "cborg";
import fc from "fast-check";
import { fuzzDecoder, mutated } from "../../tests/mutations.ts";
import { teamData, teamTest } from "../../tests/team_data.ts";
import { AssertionFailed, FormatError } from "../assert.ts";
import { concat, fromHex, toHex, toUtf8 } from "../bytes.ts";
import { type CborValue, encodeCbor } from "../crypto/cbor.ts";
import { COSE_ALGORITHMS, parseCoseSign1 } from "../crypto/cose.ts";
import { parseGovernanceRequest } from "../crypto/cose_headers.ts";
import { EC_CURVES, ecdsaSign, generateEcPrivateKey, parseEcPublicKey } from "../crypto/ecdsa.ts";
import { memberIdOf } from "../crypto/identifiers.ts";
import { type CurveName, noblePrimitives } from "../crypto/primitives.ts";
import { serialisePem } from "../crypto/pem.ts";
import { parseCertificatePem } from "../crypto/x509.ts";
import {
  finishMemberRequest,
  isRequestSignedBy,
  MAX_CREATED_AT_SECONDS,
  type MemberRequest,
  prepareMemberRequest,
  readMemberRequest,
  type ReadRequest,
  type RequestSigner,
  requestToBeSigned,
} from "./member_request.ts";

const MEMBER = "dad803e5268a30b5df4ed61241c854812d39f7cf90c13322fff12ee73f032b59";
const PROPOSAL = "ac60cf1a3678870eb30eee080238f0814f286908024c795ab59619ae165c8cf1";
const SIGNER: RequestSigner = { memberId: MEMBER, curve: "P-384" };
const random = (length: number) => crypto.getRandomValues(new Uint8Array(length));

/** One of each kind, with where it goes and what its payload is. */
const REQUESTS: [request: MemberRequest, target: string, payload: string][] = [
  [{ kind: "proposal", proposal: toUtf8('{"actions": []}') }, "/gov/members/proposals:create", '{"actions": []}'],
  [{ kind: "proposal_dry_run", proposal: toUtf8("{}") }, "/gov/service/proposals:dry-run", "{}"],
  [
    { kind: "ballot", proposalId: PROPOSAL, ballot: 'export function vote() { return "é"; }\n' },
    `/gov/members/proposals/${PROPOSAL}/ballots/${MEMBER}:submit`,
    '{"ballot":"export function vote() { return \\"é\\"; }\\n"}',
  ],
  [{ kind: "withdrawal", proposalId: PROPOSAL }, `/gov/members/proposals/${PROPOSAL}:withdraw`, ""],
  [{ kind: "state_digest" }, `/gov/members/state-digests/${MEMBER}:update`, ""],
  [
    { kind: "ack", stateDigest: "81c2" },
    `/gov/members/state-digests/${MEMBER}:ack`,
    '{"stateDigest":"81c2"}',
  ],
  [
    { kind: "recovery_share", share: Uint8Array.of(0, 1, 2, 255) },
    `/gov/recovery/members/${MEMBER}:recover`,
    '{"share":"AAEC/w=="}',
  ],
];

Deno.test("prepareMemberRequest() and readMemberRequest() agree on every kind of request", () => {
  for (const [request, target, payload] of REQUESTS) {
    const prepared = prepareMemberRequest(request, SIGNER, 1795338400);
    assert.equal(new TextDecoder().decode(prepared.payload), payload, request.kind);
    const { payloadDigest, ...read } = readMemberRequest(prepared);
    const expected = {
      request,
      signer: SIGNER,
      createdAtSeconds: 1795338400,
      target: `${target}?api-version=2024-07-01`,
    };
    assert.deepEqual(read, expected);
    assert.equal(payloadDigest, toHex(noblePrimitives.sha256(toUtf8(payload))));
    const { body, ...sent } = finishMemberRequest(prepared, new Uint8Array(96));
    assert.deepEqual(sent, { method: "POST", target: expected.target, contentType: "application/cose" });
    assert.deepEqual(parseGovernanceRequest(body).header, {
      algorithm: -35,
      keyId: MEMBER,
      type: request.kind,
      createdAtSeconds: 1795338400,
      proposalId: "proposalId" in request ? PROPOSAL : undefined,
    });
  }
});

interface Exchange {
  readonly request: { readonly line: string; readonly headers: [string, string][]; readonly bodyHex?: string };
  readonly response: { readonly status: number };
}

/** Every recorded request that a member signed and that was heard. */
function* recordedRequests(): Generator<{ line: string; body: Uint8Array }> {
  for (const name of ["one_node_open", "one_node_proposals"]) {
    const lines = Deno.readTextFileSync(teamData(`ccf/transcripts/${name}.jsonl`)).trim().split("\n");
    for (const { request, response } of lines.map((line) => JSON.parse(line) as Exchange)) {
      const signed = request.headers.some(([name, value]) => name === "content-type" && value === "application/cose");
      if (signed && response.status < 300) yield { line: request.line, body: fromHex(request.bodyHex!) };
    }
  }
}

teamTest("Requests of members that CCF accepted are byte for byte what ours would be, signed with the same key", () => {
  const keys = ["member0", "member1", "member2", "member3"].map((name) => {
    const { der, spki } = parseCertificatePem(
      Deno.readTextFileSync(teamData(`ccf/transcripts/common/${name}_cert.pem`)),
    );
    return [memberIdOf(der), parseEcPublicKey(spki)] as const;
  });
  const kinds = new Map<string, number>();
  for (const { line, body } of recordedRequests()) {
    const { protectedBytes, payload, signature } = parseCoseSign1(body);
    const { request, signer, createdAtSeconds, target } = readMemberRequest({ protectedBytes, payload: payload! });
    kinds.set(request.kind, (kinds.get(request.kind) ?? 0) + 1);
    const ours = prepareMemberRequest(request, signer, createdAtSeconds);
    assert.deepEqual(ours.protectedBytes, protectedBytes);
    const recorded = { protectedBytes, payload: payload! };
    const sent = finishMemberRequest(recorded, signature);
    assert.deepEqual(sent.body, body);
    assert.equal(`POST ${target} HTTP/1.1`, line);
    const key = keys.find(([id]) => id === signer.memberId)![1];
    assert(isRequestSignedBy(noblePrimitives, key, recorded, signature));
    assert(
      !isRequestSignedBy(noblePrimitives, key, {
        protectedBytes,
        payload: concat(payload!, payload!, Uint8Array.of(0)),
      }, signature),
    );
    // Quirk of the recording client: an acknowledgement also holds the member's ID, and some JSON is spaced.
    const text = new TextDecoder().decode(payload);
    if (request.kind !== "ack" && !text.includes('": "')) assert.deepEqual(ours.payload, payload);
  }
  const counted = JSON.stringify([...kinds]);
  for (const kind of ["state_digest", "ack", "proposal", "ballot", "withdrawal"]) {
    assert(kinds.get(kind)! >= 3, counted);
  }
});

/** RFC 9052 §4.4 in other hands: another decoder takes the message apart, and its structure is put together by hand. */
function verifyIndependently(body: Uint8Array, spkiPem: string, hash: string): boolean {
  assert.equal(body[0], 0xd2, "tag 18");
  const [protectedBytes, unprotected, payload, signature] = decode(body.subarray(1), { useMaps: true }) as [
    Uint8Array,
    Map<unknown, unknown>,
    Uint8Array,
    Uint8Array,
  ];
  assert.equal(unprotected.size, 0);
  const bytes = (value: Uint8Array) => {
    assert(value.length < 65536);
    const head = value.length < 24
      ? [0x40 | value.length]
      : value.length < 256
      ? [0x58, value.length]
      : [0x59, value.length >> 8, value.length & 255];
    return concat(Uint8Array.from(head), value);
  };
  const signed = concat(
    Uint8Array.of(0x84, 0x6a),
    toUtf8("Signature1"),
    bytes(protectedBytes),
    Uint8Array.of(0x40),
    bytes(payload),
  );
  return verify(hash, signed, { key: createPublicKey(spkiPem), dsaEncoding: "ieee-p1363" }, signature);
}

Deno.test("Signed requests verify in other hands, with ES256, ES384 and ES512", () => {
  for (const curve of Object.keys(COSE_ALGORITHMS) as CurveName[]) {
    const key = generateEcPrivateKey(curve, random);
    const pem = serialisePem("PUBLIC KEY", key.publicKey.spki);
    const hash = EC_CURVES[curve].hash.replace("-", "");
    for (const size of [0, 23, 24, 255, 256, 5000]) {
      const request: MemberRequest = { kind: "proposal", proposal: toUtf8("x".repeat(size)) };
      const prepared = prepareMemberRequest(request, { memberId: MEMBER, curve }, 1);
      const signature = ecdsaSign(key, requestToBeSigned(prepared));
      const { body } = finishMemberRequest(prepared, signature);
      assert(verifyIndependently(body, pem, hash), `${curve}, ${size} bytes`);
      assert(isRequestSignedBy(noblePrimitives, key.publicKey, prepared, signature));
      const other = finishMemberRequest(prepareMemberRequest(request, { memberId: MEMBER, curve }, 2), signature);
      assert(!verifyIndependently(other.body, pem, hash), "the time is signed");
    }
  }
});

Deno.test("isRequestSignedBy() is false for a signature by another key, and under another curve's algorithm", () => {
  const [key, other] = [generateEcPrivateKey("P-256", random), generateEcPrivateKey("P-256", random)];
  const prepared = prepareMemberRequest({ kind: "state_digest" }, { memberId: MEMBER, curve: "P-256" }, 1);
  const signature = ecdsaSign(key, requestToBeSigned(prepared));
  assert(isRequestSignedBy(noblePrimitives, key.publicKey, prepared, signature));
  assert(!isRequestSignedBy(noblePrimitives, other.publicKey, prepared, signature));
  const mislabelled = prepareMemberRequest({ kind: "state_digest" }, SIGNER, 1);
  const valid = ecdsaSign(key, requestToBeSigned(mislabelled));
  assert(!isRequestSignedBy(noblePrimitives, key.publicKey, mislabelled, valid));
});

type Entries = [number | string, CborValue][];
const ENTRIES: Entries = [
  [1, -35],
  [4, toUtf8(MEMBER)],
  ["ccf.gov.msg.type", "withdrawal"],
  ["ccf.gov.msg.created_at", 5],
  ["ccf.gov.msg.proposal_id", PROPOSAL],
];
const under = (entries: Entries, payload = "") => ({
  protectedBytes: encodeCbor(new Map(entries)),
  payload: toUtf8(payload),
});
const replaced = (changes: Record<string, CborValue | undefined>): Entries =>
  ENTRIES.flatMap(([label, value]) => {
    const [name] = [String(label).replace("ccf.gov.msg.", "")];
    const changed = name in changes ? changes[name] : value;
    return changed === undefined ? [] : [[label, changed] as [number | string, CborValue]];
  });

Deno.test("readMemberRequest() refuses what it could not show as it is", () => {
  assert.equal(readMemberRequest(under(ENTRIES)).request.kind, "withdrawal");
  const ballot = replaced({ type: "ballot" });
  const ack = replaced({ type: "ack", proposal_id: undefined });
  const whole = "Cannot read a member's request: ";
  const refused: [{ protectedBytes: Uint8Array; payload: Uint8Array }, string][] = [
    [under(replaced({ type: undefined })), whole + "its header does not say what kind it is"],
    [under(replaced({ type: "vote", proposal_id: undefined })), whole + 'the kind "vote" is not known'],
    [under(replaced({ proposal_id: undefined })), whole + 'a request of kind "withdrawal" names a proposal'],
    [under(replaced({ type: "proposal" })), whole + 'a request of kind "proposal" does not name a proposal'],
    [under(replaced({ proposal_id: PROPOSAL.toUpperCase() })), whole + "the proposal it names has no such ID"],
    [under(replaced({ 4: toUtf8("m0") })), whole + "its key ID is not that of a member"],
    [under(replaced({ 1: -8 })), whole + "its algorithm -8 is not supported"],
    [under(replaced({ created_at: MAX_CREATED_AT_SECONDS + 1 })), whole + "its time has more than ten digits"],
    [under(ENTRIES, "x"), whole + "a withdrawal has no payload"],
    [
      under(replaced({ type: "state_digest", proposal_id: undefined }), "x"),
      whole + "a request for a state digest has no payload",
    ],
    [
      under([...ENTRIES, ["more", 1]]),
      whole + "its header has other parameters, or another order of them, than a member's has",
    ],
    [
      under(ENTRIES.toReversed()),
      whole + "its header has other parameters, or another order of them, than a member's has",
    ],
    [under(ballot), "Cannot read 0 characters as JSON"],
    [under(ballot, '{"ballot":1}'), 'Cannot read JSON at "/ballot": it must be text'],
    [under(ack, "{}"), 'Cannot read JSON at "/stateDigest": it must be text'],
    [under(replaced({ type: "recovery_share", proposal_id: undefined }), '{"share":"?"}'), 'Cannot read "?" as base64'],
    [
      { ...under(replaced({ type: "proposal", proposal_id: undefined })), payload: Uint8Array.of(0xff) },
      "Cannot read 1 bytes as text: they are not UTF-8",
    ],
    [{ protectedBytes: Uint8Array.of(0xa0), payload: new Uint8Array() }, "Missing algorithm in protected header"],
  ];
  for (const [request, message] of refused) {
    assert.throws(() => readMemberRequest(request), new FormatError(message));
    assert.throws(() => finishMemberRequest(request, new Uint8Array(96)), new FormatError(message));
  }
});

Deno.test("prepareMemberRequest() is not asked for times or IDs that a service would not take", () => {
  const request: MemberRequest = { kind: "withdrawal", proposalId: PROPOSAL };
  for (const time of [-1, 1.5, NaN, MAX_CREATED_AT_SECONDS + 1]) {
    assert.throws(() => prepareMemberRequest(request, SIGNER, time), AssertionFailed);
  }
  assert.throws(() => prepareMemberRequest(request, { ...SIGNER, memberId: "m0" }, 1), AssertionFailed);
  assert.throws(() => prepareMemberRequest({ ...request, proposalId: "ac60" }, SIGNER, 1), AssertionFailed);
  const proposal = Uint8Array.of(0xff);
  assert.throws(() => prepareMemberRequest({ kind: "proposal", proposal }, SIGNER, 1), FormatError);
});

Deno.test("Whatever readMemberRequest() reads is prepared again with the same header, for any texts", () => {
  const id = fc.uint8Array({ minLength: 32, maxLength: 32 }).map(toHex);
  const request = fc.oneof(
    fc.record({ kind: fc.constant("ballot" as const), proposalId: id, ballot: fc.string({ unit: "grapheme" }) }),
    fc.record({ kind: fc.constant("ack" as const), stateDigest: fc.string() }),
    fc.record({ kind: fc.constant("recovery_share" as const), share: fc.uint8Array() }),
    fc.record({ kind: fc.constant("proposal" as const), proposal: fc.string({ unit: "grapheme" }).map(toUtf8) }),
    fc.record({ kind: fc.constant("withdrawal" as const), proposalId: id }),
  );
  const curve = fc.constantFrom<CurveName>("P-256", "P-384", "P-521");
  const time = fc.integer({ min: 0, max: MAX_CREATED_AT_SECONDS });
  fc.assert(fc.property(request, id, curve, time, (request, memberId, curve, seconds) => {
    const prepared = prepareMemberRequest(request, { memberId, curve }, seconds);
    const read = readMemberRequest(prepared);
    assert.deepEqual(read.request, { ...request });
    assert.deepEqual([read.signer, read.createdAtSeconds], [{ memberId, curve }, seconds]);
  }));
});

Deno.test("readMemberRequest() answers or throws FormatError for any bytes, and what it answers has the same header", () => {
  const [{ protectedBytes }, ballot] = [under(ENTRIES), under(replaced({ type: "ballot" }))];
  const sameHeader = (protectedBytes: Uint8Array, { request, signer, createdAtSeconds }: ReadRequest) =>
    assert.deepEqual(prepareMemberRequest(request, signer, createdAtSeconds).protectedBytes, protectedBytes);
  fuzzDecoder(
    mutated(protectedBytes),
    (bytes) => readMemberRequest({ protectedBytes: bytes, payload: new Uint8Array() }),
    (read, bytes) => sameHeader(bytes, read),
  );
  fuzzDecoder(
    mutated(toUtf8('{"ballot":"export function vote() {}"}')),
    (payload) => readMemberRequest({ ...ballot, payload }),
    (read) => sameHeader(ballot.protectedBytes, read),
  );
});
