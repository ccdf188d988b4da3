import { strict as assert } from "node:assert";
import { fromHex, Reader, toHex, Writer } from "./bytes.ts";

Deno.test("a Writer that has to grow writes the same bytes as one that has not", () => {
  const fill = (writer: Writer) =>
    writer.u8(1).u32(2).u48(3).u64(4).u64Be(5).bytes(fromHex("aabbcc")).zeros(3).lengthPrefixed(fromHex("dd"));
  const expected = "01" + "02000000" + "030000000000" + "0400000000000000" + "0000000000000005" + "aabbcc" + "000000" +
    "0100000000000000" + "dd";
  for (const capacity of [0, 1, 5, 12, 26, 42, 100]) {
    assert.equal(toHex(fill(new Writer(capacity)).finish()), expected, `capacity ${capacity}`);
  }
});

Deno.test("a Reader gives back what a Writer wrote", () => {
  const bytes = new Writer().u8(255).u48(2 ** 48 - 1).u64(Number.MAX_SAFE_INTEGER).u64Be(2 ** 40).finish();
  const reader = new Reader(bytes);
  assert.deepEqual(
    [reader.u8(), reader.u48(), reader.u64(), reader.u64Be()],
    [255, 2 ** 48 - 1, Number.MAX_SAFE_INTEGER, 2 ** 40],
  );
  assert.ok(reader.done);
});
