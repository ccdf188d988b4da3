import { strict as assert } from "node:assert";
import { fuzzDecoder, mutatedText } from "../tests/mutations.ts";
import { FormatError } from "./assert.ts";
import { MAX_SEQNO } from "./limits.ts";
import { formatTxId, parseTxId, sameTxId } from "./tx_id.ts";

Deno.test("parseTxId() reads what formatTxId() writes, up to the largest", () => {
  for (const id of [{ view: 2, seqno: 14 }, { view: 1, seqno: 1 }, { view: MAX_SEQNO, seqno: MAX_SEQNO }]) {
    assert(sameTxId(parseTxId(formatTxId(id)), id));
  }
});

Deno.test("parseTxId() refuses signs, spaces, padding, zero and what is too large, and says how an ID looks", () => {
  for (
    const text of ["", "2", "2.", ".14", "0.1", "1.0", "02.14", "2.014", "+2.14", "2.14 ", "2.14.1", "2,14", "a.b"]
  ) {
    assert.throws(() => parseTxId(text), { name: "FormatError", message: /it must look like "2\.14"$/ }, text);
  }
  assert.throws(() => parseTxId(`2.${"9".repeat(400)}`), FormatError);
  assert.throws(() => parseTxId(`2.${MAX_SEQNO}0`), FormatError);
});

Deno.test("parseTxId() answers an ID that is written the same, or throws FormatError", () => {
  fuzzDecoder(mutatedText("2.14", "17.4294967296"), parseTxId, (id, text) => assert.equal(formatTxId(id), text));
});
