import { strict as assert } from "node:assert";
import { isIP } from "node:net";
import fc from "fast-check";
import { fromHex, toHex } from "../bytes.ts";
import { ipAddressFromText, ipAddressToText } from "./ip_address.ts";

Deno.test("ipAddressFromText() and ipAddressToText() agree on the usual form", () => {
  const table: [text: string, hex: string][] = [
    ["127.0.0.1", "7f000001"],
    ["0.0.0.0", "00000000"],
    ["255.255.255.255", "ffffffff"],
    ["::", "00000000000000000000000000000000"],
    ["::1", "00000000000000000000000000000001"],
    ["1::", "00010000000000000000000000000000"],
    ["2001:db8::ff00:42:8329", "20010db8000000000000ff0000428329"],
    ["2001:db8:1:2:3:4:5:6", "20010db8000100020003000400050006"],
    // RFC 5952 §4.2.2 and §4.2.3: no :: for one group, the longest run, of equal ones the first.
    ["2001:db8:0:1:1:1:1:1", "20010db8000000010001000100010001"],
    ["2001:0:0:1::1", "20010000000000010000000000000001"],
    ["2001:db8::1:0:0:1", "20010db8000000000001000000000001"],
  ];
  for (const [text, hex] of table) {
    assert.equal(toHex(ipAddressFromText(text)), hex);
    assert.equal(ipAddressToText(fromHex(hex)), text);
  }
});

Deno.test("ipAddressFromText() reads other forms of the same address", () => {
  const table: [text: string, usual: string][] = [
    ["2001:DB8:0:0:0:FF00:0042:8329", "2001:db8::ff00:42:8329"],
    ["::ffff:192.0.2.1", "::ffff:c000:201"],
    ["1:2:3:4:5:6:192.0.2.1", "1:2:3:4:5:6:c000:201"],
    ["1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"],
    ["0:0:0:0:0:0:0:0", "::"],
  ];
  for (const [text, usual] of table) assert.equal(ipAddressToText(ipAddressFromText(text)), usual);
});

Deno.test("ipAddressFromText() refuses what is no address", () => {
  const texts = ["", "localhost", "1.2.3", "1.2.3.4.", "1.2.3.4.5", "256.0.0.1", "01.2.3.4", "1.2.3.-4", "0x7f.1.1.1"]
    .concat([
      ":",
      ":::",
      "1:2",
      "1::2::3",
      "1:2:3:4:5:6:7:8:9",
      "1:2:3:4:5:6:7:8::",
      "12345::",
      "g::",
      "[::1]",
      "::1%lo",
    ])
    .concat(["1.2.3.4::", "::1.2.3", "1:2:3:4:5:6:7:1.2.3.4", " ::1", `${"0:".repeat(4000)}::`]);
  for (const text of texts) {
    assert.throws(() => ipAddressFromText(text), {
      name: "FormatError",
      message: `Cannot read ${JSON.stringify(text.slice(0, 60))} as an IP address`,
    });
  }
  assert.throws(() => ipAddressToText(new Uint8Array(5)), {
    message: "Cannot read an IP address: it has 5 bytes, not 4 or 16",
  });
});

Deno.test("ipAddressFromText() accepts exactly what node:net accepts, but for zones", () => {
  const piece = fc.constantFrom("0", "1", "ff", "2001", "12345", "256", "1.2.3.4", ":", "::", ".", "x", "00");
  const text = fc.oneof(fc.ipV4(), fc.ipV6(), fc.array(piece, { maxLength: 12 }).map((pieces) => pieces.join("")));
  fc.assert(
    fc.property(text, (text) => {
      let accepted = true;
      try {
        const bytes = ipAddressFromText(text);
        assert.deepEqual(ipAddressFromText(ipAddressToText(bytes)), bytes);
      } catch (error) {
        assert.equal((error as Error).name, "FormatError");
        accepted = false;
      }
      assert.equal(accepted, isIP(text) !== 0, text);
    }),
    { numRuns: 1000 },
  );
});
