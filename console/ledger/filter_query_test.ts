import { strict as assert } from "node:assert";
import fc from "fast-check";
import {
  FILTER_HELP,
  keyFilterText,
  parseFilter,
  parseMoment,
  withoutWord,
  withWord,
  wordText,
} from "./filter_query.ts";

Deno.test("all words of the grammar make one filter", () => {
  const { filter, problems } = parseFilter(
    'kind:governance,snapshot table:public:ccf.gov.endpoints key:"GET /log" seqno:10..20 view:2 private:yes claims:no',
  );
  assert.deepEqual(problems, []);
  assert.deepEqual(filter, {
    kinds: ["governance", "snapshot evidence"],
    table: "public:ccf.gov.endpoints",
    keyHex: "474554202f6c6f67",
    fromSeqno: 10,
    toSeqno: 20,
    view: 2,
    hasPrivate: true,
    hasClaims: false,
  });
});

Deno.test("ranges are open where an end is missing, and one number is itself", () => {
  assert.deepEqual(parseFilter("seqno:10..").filter, { fromSeqno: 10 });
  assert.deepEqual(parseFilter("seqno:..20").filter, { toSeqno: 20 });
  assert.deepEqual(parseFilter("seqno:15").filter, { fromSeqno: 15, toSeqno: 15 });
});

Deno.test("a date is the whole day, a time in Z is UTC", () => {
  assert.deepEqual(parseFilter("after:2026-11-01T08:00Z").filter, { fromMs: Date.UTC(2026, 10, 1, 8) });
  const day = parseFilter("after:2026-11-01Z before:2026-11-01Z").filter;
  assert.equal(day.toMs, undefined, "a date alone has no Z");
  const local = parseFilter("after:2026-11-01 before:2026-11-01").filter;
  assert.equal(local.toMs! - local.fromMs!, 86_400_000 - 1);
  assert.equal(parseMoment("2026-13-01", false), undefined);
});

Deno.test("what is no filter is said, and filters nothing", () => {
  const { filter, problems, words } = parseFilter(
    "2.15 colour:red kind:nice seqno:a..b private:maybe view:x after:now key:a table:",
  );
  assert.deepEqual(filter, {});
  assert.deepEqual(words.map(({ name }) => name), ["key"]);
  assert.equal(problems.length, 9);
});

Deno.test("words are taken out, put in, and replaced", () => {
  const parsed = parseFilter("kind:user view:2");
  assert.equal(withoutWord(parsed, parsed.words[0]!), "view:2");
  assert.equal(withWord(parsed, "kind", "governance"), "view:2 kind:governance");
  assert.equal(withWord(parsed, "view", undefined), "kind:user");
});

Deno.test("any value can be written and is read again, and any key is found by its bytes", () => {
  fc.assert(fc.property(fc.string({ minLength: 1 }), (table) => {
    assert.equal(parseFilter(wordText("table", table)).filter.table, table);
  }));
  fc.assert(fc.property(fc.uint8Array(), (key) => {
    assert.deepEqual(
      parseFilter(keyFilterText("public:a", key)).filter.keyHex,
      Array.from(key, (byte) => byte.toString(16).padStart(2, "0")).join(""),
    );
  }));
});

Deno.test("parseFilter() answers to any text", () => {
  fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => {
    const { words, problems } = parseFilter(text);
    assert.ok(text.trim() === "" || words.length + problems.length > 0);
  }));
});

Deno.test("every example of the help is understood", () => {
  for (const [name, example] of FILTER_HELP) {
    for (const word of example.split(/, | or /)) {
      const text = name === "key" ? `table:a ${word}` : word;
      assert.deepEqual(parseFilter(text).problems, [], text);
    }
  }
});
