import { strict as assert } from "node:assert";
import fc from "fast-check";
import { join } from "../../tests/paths.ts";
import { teamData, teamTest } from "../../tests/team_data.ts";
import { AssertionFailed, FormatError } from "../assert.ts";
import { fromBase64, fromHex, toHex, toUtf8 } from "../bytes.ts";
import { type CborValue, encodeCbor } from "./cbor.ts";
import { type CoseSign1, parseCoseSign1, serialiseCoseSign1, withSignature } from "./cose.ts";
import {
  type EndorsementHeader,
  type GovernanceRequestHeader,
  parseEndorsementHeader,
  parseGovernanceRequest,
  parseLedgerSignatureHeader,
  parseSignedRequestHeader,
  parseUserRequest,
  serialiseEndorsementHeader,
  serialiseGovernanceRequestHeader,
  serialiseLedgerSignatureHeader,
} from "./cose_headers.ts";

type Entries = [number | string, CborValue][];

const headerOf = (entries: Entries): Uint8Array => encodeCbor(new Map(entries));
const messageUnder = (protectedBytes: Uint8Array): CoseSign1 =>
  withSignature(protectedBytes, undefined, new Uint8Array());
const bodyUnder = (entries: Entries): Uint8Array => serialiseCoseSign1(messageUnder(headerOf(entries)));
const text = (value: string): string => toHex(encodeCbor(value));

// ledger-and-receipts.md §6.2: of the signature at 2.27 of double_sealed_service.
const KEY_ID = "25d7fc06a518065ba02d45120e3c54e60b4f37a50f579f5eb2a376b9a1c452b5";
const LEDGER_HEADER = "a5" + "013822" + "045840" + toHex(toUtf8(KEY_ID)) + "19018b02" +
  "0fa3" + "061a681ca43e" + "01" + text("service.example.com") + "02" + text("ledger.signature") +
  text("ccf.v1") + "a1" + text("txid") + text("2.27");

Deno.test("parseLedgerSignatureHeader() reads the worked example, and serialiseLedgerSignatureHeader() writes it", () => {
  const header = parseLedgerSignatureHeader(messageUnder(fromHex(LEDGER_HEADER)));
  assert.deepEqual(header, {
    curve: "P-384",
    keyId: KEY_ID,
    issuedAtSeconds: 1746707518,
    issuer: "service.example.com",
    subject: "ledger.signature",
    txId: { view: 2, seqno: 27 },
  });
  assert.equal(toHex(serialiseLedgerSignatureHeader(header)), LEDGER_HEADER);
});

const LEDGER_ENTRIES: Entries = [
  [1, -35],
  [4, toUtf8(KEY_ID)],
  [395, 2],
  [15, new Map<number, CborValue>([[6, 1], [1, ""], [2, ""]])],
  ["ccf.v1", new Map([["txid", "2.27"]])],
];
const replaced = (entries: Entries, key: number | string, value: CborValue): Entries =>
  entries.map((entry) => entry[0] === key ? [key, value] : entry);
const without = (entries: Entries, key: number | string): Entries => entries.filter(([label]) => label !== key);

Deno.test("parseLedgerSignatureHeader() reads P-256, and empty issuer and subject", () => {
  const header = parseLedgerSignatureHeader(messageUnder(headerOf(replaced(LEDGER_ENTRIES, 1, -7))));
  assert.deepEqual([header.curve, header.issuer, header.subject], ["P-256", "", ""]);
});

const OTHER_FORM = "Cannot read the header of a ledger signature: a service would not have written it so";

Deno.test("parseLedgerSignatureHeader() refuses what a service would not write", () => {
  const claims = (...entries: [number, CborValue][]) => replaced(LEDGER_ENTRIES, 15, new Map(entries));
  const refused: [Entries, string][] = [
    [[], "Cannot read the claims of a ledger signature: it is missing"],
    [without(LEDGER_ENTRIES, 1), "Cannot read the algorithm of a ledger signature: it is missing"],
    [replaced(LEDGER_ENTRIES, 1, -36), "Cannot read the algorithm of a ledger signature: -36 is not supported"],
    [replaced(LEDGER_ENTRIES, 4, KEY_ID), "Cannot read the key ID of a ledger signature: it is not a byte string"],
    [
      replaced(LEDGER_ENTRIES, 4, toUtf8(KEY_ID.toUpperCase())),
      "Cannot read the header of a ledger signature: its time or its key ID is none",
    ],
    [claims([6, -1], [1, ""], [2, ""]), "Cannot read the header of a ledger signature: its time or its key ID is none"],
    [claims([6, 1], [1, ""]), "Cannot read the subject of a ledger signature: it is missing"],
    [claims([6, 1], [2, ""], [1, ""]), OTHER_FORM],
    [claims([6, 1], [1, ""], [2, ""], [3, ""]), OTHER_FORM],
    [replaced(LEDGER_ENTRIES, 395, 1), OTHER_FORM],
    [without(LEDGER_ENTRIES, 395), OTHER_FORM],
    [LEDGER_ENTRIES.toReversed(), OTHER_FORM],
    [[...LEDGER_ENTRIES, [99, 0]], OTHER_FORM],
    [replaced(LEDGER_ENTRIES, "ccf.v1", 0), "Cannot read the CCF parameters of a ledger signature: it is not a map"],
    [
      replaced(LEDGER_ENTRIES, "ccf.v1", new Map([["txid", "2.0"]])),
      'Cannot read "2.0" as a transaction ID: it must look like "2.14"',
    ],
  ];
  for (const [entries, message] of refused) {
    assert.throws(() => parseLedgerSignatureHeader(messageUnder(headerOf(entries))), new FormatError(message));
  }
});

const ROOT = new Uint8Array(32).fill(0x91);
const ENDORSEMENTS: [hex: string, header: EndorsementHeader][] = [
  [
    "a3" + "013822" + "0fa1061a681ca43e" + text("ccf.v1") + "a1" + text("epoch.start.txid") + text("2.1"),
    { curve: "P-384", issuedAtSeconds: 1746707518, begin: { view: 2, seqno: 1 }, end: undefined },
  ],
  [
    "a3" + "0126" + "0fa1061a681ca43e" + text("ccf.v1") + "a3" + text("epoch.start.txid") + text("2.1") +
    text("epoch.end.txid") + text("2.483") + text("epoch.end.merkle.root") + "5820" + "91".repeat(32),
    {
      curve: "P-256",
      issuedAtSeconds: 1746707518,
      begin: { view: 2, seqno: 1 },
      end: { txId: { view: 2, seqno: 483 }, root: ROOT },
    },
  ],
];

Deno.test("parseEndorsementHeader() reads both forms, and serialiseEndorsementHeader() writes them", () => {
  for (const [hex, header] of ENDORSEMENTS) {
    assert.deepEqual(parseEndorsementHeader(messageUnder(fromHex(hex))), header);
    assert.equal(toHex(serialiseEndorsementHeader(header)), hex);
  }
  const [, whole] = ENDORSEMENTS[1]!;
  const shortRoot = { ...whole, end: { txId: whole.begin, root: ROOT.subarray(1) } };
  assert.throws(() => serialiseEndorsementHeader(shortRoot), AssertionFailed);
});

Deno.test("parseEndorsementHeader() refuses what a service would not write", () => {
  const whole: Entries = [[1, -35], [15, new Map([[6, 1]])]];
  const ccf = (...entries: [string, CborValue][]): Entries => [...whole, ["ccf.v1", new Map(entries)]];
  const refused: [Entries, string][] = [
    [whole, "Cannot read the CCF parameters of an endorsement: it is missing"],
    [ccf(), "Cannot read the first transaction of an endorsement: it is missing"],
    [
      ccf(["epoch.start.txid", "2.1"], ["epoch.end.txid", "2.9"]),
      "Cannot read the root of an endorsement: it is missing",
    ],
    [
      ccf(["epoch.start.txid", "2.1"], ["epoch.end.txid", "2.9"], ["epoch.end.merkle.root", ROOT.subarray(1)]),
      "Cannot read the root of an endorsement: it has 31 bytes",
    ],
    [
      ccf(["epoch.start.txid", "2.1"], ["epoch.end.merkle.root", ROOT]),
      "Cannot read the header of an endorsement: a service would not have written it so",
    ],
    [
      replaced(ccf(["epoch.start.txid", "2.1"]), 15, new Map([[6, -1]])),
      "Cannot read the header of an endorsement: its time is negative",
    ],
    [
      [[4, toUtf8(KEY_ID)], ...ccf(["epoch.start.txid", "2.1"])],
      "Cannot read the header of an endorsement: a service would not have written it so",
    ],
  ];
  for (const [entries, message] of refused) {
    assert.throws(() => parseEndorsementHeader(messageUnder(headerOf(entries))), new FormatError(message));
  }
});

teamTest("Headers of every ledger signature and endorsement in real receipts and ledgers are written as read", () => {
  let [signatures, endorsements] = [0, 0];
  for (
    const service of ["double_sealed_service", "cose_flipflop_service", "recorded_recovery", "recorded_nodes/node0"]
  ) {
    const folder = teamData(`ccf/testdata/${service}/ledger`);
    for (const { name } of Deno.readDirSync(folder)) {
      const content = new TextDecoder("latin1").decode(Deno.readFileSync(join(folder, name)));
      for (const [, key, base64] of content.matchAll(/("endorsement":)?"(0oR[A-Za-z0-9+/]+=*)"/g)) {
        const message = parseCoseSign1(fromBase64(base64!));
        if (key !== undefined) {
          const header = parseEndorsementHeader(message);
          assert.deepEqual(serialiseEndorsementHeader(header), message.protectedBytes);
          endorsements++;
        } else if (message.payload === undefined) {
          const header = parseLedgerSignatureHeader(message);
          assert.deepEqual(serialiseLedgerSignatureHeader(header), message.protectedBytes);
          signatures++;
        }
      }
    }
  }
  assert(signatures > 100 && endorsements > 5, `${signatures} signatures, ${endorsements} endorsements`);
});

const MEMBER_ID = "dad803e5268a30b5df4ed61241c854812d39f7cf90c13322fff12ee73f032b59";
const REQUEST: GovernanceRequestHeader = {
  algorithm: -35,
  keyId: MEMBER_ID,
  type: "ballot",
  createdAtSeconds: 1795338400,
  proposalId: "ac60",
};

Deno.test("serialiseGovernanceRequestHeader() writes alg, kid, type, time, proposal, and leaves out what is absent", () => {
  const bytes = serialiseGovernanceRequestHeader(REQUEST);
  assert.equal(
    toHex(bytes),
    "a5" + "013822" + "045840" + toHex(toUtf8(MEMBER_ID)) + text("ccf.gov.msg.type") + text("ballot") +
      text("ccf.gov.msg.created_at") + "1a6b02b0a0" + text("ccf.gov.msg.proposal_id") + text("ac60"),
  );
  const read = parseGovernanceRequest(serialiseCoseSign1(messageUnder(bytes)));
  assert.deepEqual(read.header, REQUEST);
  const bare = { ...REQUEST, type: undefined, proposalId: undefined };
  const body = serialiseCoseSign1(messageUnder(serialiseGovernanceRequestHeader(bare)));
  assert.deepEqual(parseGovernanceRequest(body).header, bare);
});

const REQUEST_ENTRIES: Entries = [
  ["ccf.gov.msg.created_at", 5],
  [4, toUtf8(MEMBER_ID)],
  ["other", []],
  [1, -7],
];

Deno.test("parseGovernanceRequest() takes parameters in any order, and leaves others alone", () => {
  const { header, message } = parseGovernanceRequest(bodyUnder(REQUEST_ENTRIES));
  const expected = { algorithm: -7, keyId: MEMBER_ID, type: undefined, createdAtSeconds: 5, proposalId: undefined };
  assert.deepEqual(header, expected);
  assert.deepEqual(parseSignedRequestHeader(message), { algorithm: -7, keyId: MEMBER_ID });
});

const MISTYPED = "Failed to decode protected header: 61";

Deno.test("parseGovernanceRequest() refuses in CCF's words", () => {
  const refused: [Uint8Array, string][] = [
    [fromHex("8440a0f640"), "COSE_Sign1 is not tagged"],
    [fromHex("ffff"), "Failed to parse COSE_Sign1 outer array"],
    [new Uint8Array(), "Failed to parse COSE_Sign1 outer array"],
    [toUtf8('{"actions":[]}'), "Failed to parse COSE_Sign1 outer array"],
    [bodyUnder(without(REQUEST_ENTRIES, 1)), "Missing algorithm in protected header"],
    [bodyUnder(without(REQUEST_ENTRIES, 4)), "Missing kid in protected header"],
    [bodyUnder(without(REQUEST_ENTRIES, "ccf.gov.msg.created_at")), "Missing created_at in protected header"],
    [
      bodyUnder(replaced(REQUEST_ENTRIES, "ccf.gov.msg.created_at", -5)),
      "Header parameter created_at must be positive",
    ],
    [bodyUnder(replaced(REQUEST_ENTRIES, "ccf.gov.msg.created_at", "5")), MISTYPED],
    [bodyUnder(replaced(REQUEST_ENTRIES, 1, "ES256")), MISTYPED],
    [bodyUnder(replaced(REQUEST_ENTRIES, 4, MEMBER_ID)), MISTYPED],
    [bodyUnder([...REQUEST_ENTRIES, ["ccf.gov.msg.type", 1]]), MISTYPED],
    [bodyUnder([...REQUEST_ENTRIES, ["ccf.gov.msg.proposal_id", null]]), MISTYPED],
    // CCF has no words of its own for these.
    [fromHex("d240"), "Cannot read a COSE_Sign1 message: it is not an array"],
    [fromHex("d18440a0f640"), "Cannot read a COSE_Sign1 message: it must have the tag 18"],
  ];
  for (const [body, message] of refused) assert.throws(() => parseGovernanceRequest(body), new FormatError(message));
});

Deno.test("parseUserRequest() needs algorithm and key ID only", () => {
  const signer: Entries = [[1, -35], [4, toUtf8(MEMBER_ID)]];
  const withMessage: Entries = [...signer, ["ccf.msg.type", "a"], ["ccf.msg.created_at", -1]];
  const bare = { algorithm: -35, keyId: MEMBER_ID, type: undefined, createdAtSeconds: undefined };
  assert.deepEqual(parseUserRequest(bodyUnder(signer)).header, bare);
  assert.deepEqual(parseUserRequest(bodyUnder(withMessage)).header, { ...bare, type: "a", createdAtSeconds: -1 });
  assert.throws(() => parseUserRequest(bodyUnder([[1, -35]])), new FormatError("Missing kid in protected header"));
  assert.throws(() => parseUserRequest(bodyUnder([...signer, ["ccf.msg.type", 1]])), new FormatError(MISTYPED));
});

Deno.test("parseSignedRequestHeader() reads a key ID that is not text, which is nobody's", () => {
  const { keyId } = parseSignedRequestHeader(messageUnder(headerOf([[1, -35], [4, fromHex("ff00")]])));
  assert.equal(keyId, "\ufffd\0");
});

teamTest("parseGovernanceRequest() and parseUserRequest() refuse what a real node does, in its words", () => {
  const path = teamData("ccf/transcripts/one_node_errors.jsonl");
  let compared = 0;
  for (const line of Deno.readTextFileSync(path).trim().split("\n")) {
    const { request, response } = JSON.parse(line);
    const isUser = request.line.startsWith("POST /app/");
    if (request.bodyHex === undefined) continue;
    const parse = () => (isUser ? parseUserRequest : parseGovernanceRequest)(fromHex(request.bodyHex));
    const { message } = JSON.parse(response.body || "{}").error ?? {};
    if (response.status === 500 && !message.startsWith("Failed to execute")) {
      assert.throws(parse, new FormatError(message));
      compared++;
    } else parse();
  }
  assert(compared >= 6, `${compared} refusals`);
});

Deno.test("The parsers read changed headers as what they say or refuse them, and nothing else", () => {
  const parsers: [Uint8Array, (message: CoseSign1) => Uint8Array][] = [
    [fromHex(LEDGER_HEADER), (message) => serialiseLedgerSignatureHeader(parseLedgerSignatureHeader(message))],
    [fromHex(ENDORSEMENTS[1]![0]), (message) => serialiseEndorsementHeader(parseEndorsementHeader(message))],
    [serialiseGovernanceRequestHeader(REQUEST), (message) => {
      parseGovernanceRequest(serialiseCoseSign1(message));
      parseUserRequest(serialiseCoseSign1(message));
      return message.protectedBytes;
    }],
  ];
  for (const [bytes, rewrite] of parsers) {
    let read = 0;
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.nat(255), (at, byte) => {
        const changed = bytes.slice();
        changed[at] = byte;
        try {
          assert.deepEqual(rewrite(messageUnder(changed)), changed);
          read++;
        } catch (error) {
          assert(error instanceof FormatError, String(error));
        }
      }),
      { numRuns: 400 },
    );
    assert(read > 10, `${read} read`);
  }
});
