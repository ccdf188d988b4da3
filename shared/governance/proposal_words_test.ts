import { strict as assert } from "node:assert";
import fc from "fast-check";
import { CERTIFICATES } from "../../tests/openssl_fixtures.ts";
import { mutatedText } from "../../tests/mutations.ts";
import { teamData, teamTest } from "../../tests/team_data.ts";
import { FormatError } from "../assert.ts";
import { fromHex, fromUtf8, toUtf8 } from "../bytes.ts";
import { parseCoseSign1 } from "../crypto/cose.ts";
import { memberIdOf } from "../crypto/identifiers.ts";
import { serialiseCertificatePem } from "../crypto/x509.ts";
import { proposalWords, safeLines, safeText, valueWords } from "./proposal_words.ts";

const PEM = serialiseCertificatePem(CERTIFICATES.rsaSha384);
const ID = memberIdOf(CERTIFICATES.rsaSha384);
const WORDS = `certificate of CN=Rösli & Söhne, ID ${ID}`;

Deno.test("proposalWords() names every action with its arguments", () => {
  const proposal = {
    actions: [
      { name: "set_member", args: { cert: PEM, member_data: { n: 1, deep: [true, null] } } },
      { name: "trigger_ledger_rekey" },
      { name: "remove_js_app", args: null },
      { name: "odd", args: [1, "two"], note: "aside" },
    ],
  };
  const { actions } = proposalWords(JSON.stringify(proposal));
  assert.deepEqual(actions, [
    { name: "set_member", args: [["cert", WORDS], ["member_data", '{"n":1,"deep":[true,null]}']] },
    { name: "trigger_ledger_rekey", args: [] },
    { name: "remove_js_app", args: [] },
    { name: "odd", args: [["", '[1,"two"]'], ["note", '"aside"']] },
  ]);
});

Deno.test("proposalWords() shows what is no list of actions as it is, and refuses what is not JSON", () => {
  for (const other of ["{}", "[]", "null", '"x"', '{"actions":{}}', '{"actions":[1]}', '{"actions":[{"args":{}}]}']) {
    assert.deepEqual(proposalWords(other), { actions: undefined, text: other });
  }
  assert.throws(() => proposalWords("{"), new FormatError("Cannot read 1 characters as JSON"));
  const deep = '{"actions":[{"name":"a","args":' + "[".repeat(600) + "]".repeat(600) + "}]}";
  assert.throws(() => proposalWords(deep), new FormatError("Cannot show JSON that nests deeper than 512"));
});

Deno.test("valueWords() cuts what is long, with the digest of all of it", () => {
  // Digests by sha256sum.
  assert.equal(
    valueWords("a".repeat(300)),
    `"${"a".repeat(199)}… (300 bytes, SHA-256 9835fa6bf4e20a9b9ea812506302e98982721a6cf8d2cae67af57129bf21ae90)`,
  );
  assert.equal(valueWords("a".repeat(198)), JSON.stringify("a".repeat(198)));
});

Deno.test("valueWords() takes nothing for a certificate but certificates", () => {
  assert.equal(valueWords(PEM), WORDS);
  assert.equal(valueWords(PEM.trimEnd().replaceAll("\n", "\r\n")), WORDS);
  assert.equal(valueWords(PEM + PEM), `${WORDS}; ${WORDS}`);
  for (const other of [`${PEM}and more\n`, PEM.replaceAll("CERTIFICATE", "PUBLIC KEY"), PEM.slice(0, 200)]) {
    assert(!valueWords(other).includes("certificate of"), other);
  }
});

Deno.test("safeText() and safeLines() leave nothing that steers a terminal or turns the reading direction", () => {
  assert.equal(safeText("a\u001b[2J\u202eb\r\u0085\u{e0041}é日"), "a\\u{1b}[2J\\u{202e}b\\u{d}\\u{85}\\u{e0041}é日");
  assert.deepEqual(safeLines("\tone\r\ntwo\u001b"), ["\tone\\u{d}", "two\\u{1b}"]);
  // deno-lint-ignore no-control-regex -- control characters are what is looked for
  const steering = /[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/;
  fc.assert(fc.property(fc.jsonValue(), fc.string({ unit: "binary" }), (value, name) => {
    const { actions, text } = proposalWords(JSON.stringify({ actions: [{ name, args: { [name]: value } }] }));
    for (const shown of [text, ...actions!.flatMap(({ name, args }) => [name, ...args.flat()])]) {
      assert(!steering.test(shown), JSON.stringify(shown));
    }
  }));
});

Deno.test("proposalWords() answers or throws FormatError for any text", () => {
  const sample = JSON.stringify({ actions: [{ name: "set_user", args: { cert: PEM, user_data: { a: [1, "x"] } } }] });
  let answered = 0;
  fc.assert(fc.property(mutatedText(sample), (text) => {
    try {
      proposalWords(text);
      answered++;
    } catch (error) {
      assert(error instanceof FormatError, String(error));
    }
  }));
  assert(answered > 0);
});

teamTest("A real proposal comes out as a list of short actions", () => {
  const lines = Deno.readTextFileSync(teamData("ccf/transcripts/one_node_open.jsonl")).trim().split("\n");
  const bodies = lines.map((line) => JSON.parse(line).request as { line: string; bodyHex: string })
    .filter(({ line }) => line.includes("proposals:create")).map(({ bodyHex }) => parseCoseSign1(fromHex(bodyHex)));
  const { actions } = proposalWords(fromUtf8(bodies.at(-1)!.payload!));
  assert(actions!.some(({ name }) => name === "set_js_app") && actions!.some(({ name }) => name === "set_user"));
  for (const [name, value] of actions!.flatMap(({ args }) => args)) {
    assert(toUtf8(name + value).length < 400, value);
    if (name === "cert") assert.match(value, /^certificate of CN=\w+, ID [0-9a-f]{64}$/);
  }
});
