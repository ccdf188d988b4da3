import { strict as assert } from "node:assert";
import { constants, createECDH, generateKeyPairSync, publicEncrypt, sign } from "node:crypto";
import fc from "fast-check";
import { FormatError } from "../shared/assert.ts";
import { concat, fromHex, toHex, toUtf8 } from "../shared/bytes.ts";
import { hash, type HashName } from "../shared/crypto/hashes.ts";
import { type CurveName, NOBLE_CURVES, noblePrimitives } from "../shared/crypto/primitives.ts";
import { MAX_KNOWN_KEYS } from "../shared/limits.ts";
import { PRIMITIVE_SETS, testOnBoth } from "../tests/primitive_sets.ts";
import { loadNativePrimitives } from "./native_primitives.ts";
import { MAX_SHORT_GCM_BYTES } from "./aes_gcm_wasm.ts";
import { MAX_SHORT_MESSAGE_BYTES } from "./sha256_wasm.ts";

const native = loadNativePrimitives();
const bytes = (constraints: fc.IntArrayConstraints) => fc.uint8Array(constraints);

// NIST, "Descriptions of SHA-256, SHA-384, and SHA-512" and the examples page of FIPS 180-4.
const SHA256_VECTORS = [
  ["", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"],
  ["abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"],
  [
    "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
    "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
  ],
  [
    "abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
    "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1",
  ],
  ["a".repeat(1_000_000), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"],
] as const;

testOnBoth("sha256() gives the digests of FIPS 180-4's examples", (primitives) => {
  for (const [message, digest] of SHA256_VECTORS) assert.equal(toHex(primitives.sha256(toUtf8(message))), digest);
});

Deno.test("native sha256() agrees with noble at every length up to where another implementation takes over", () => {
  const message = Uint8Array.from({ length: MAX_SHORT_MESSAGE_BYTES + 70 }, (_, i) => i * 7);
  for (let length = 0; length <= message.length; length++) {
    const part = message.subarray(0, length);
    assert.deepEqual(native.sha256(part), noblePrimitives.sha256(part), `${length} bytes`);
  }
});

// RFC 4231 §4; test case 5 is about truncation.
const HMAC_VECTORS = [
  ["0b".repeat(20), toHex(toUtf8("Hi There")), "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"],
  [
    toHex(toUtf8("Jefe")),
    toHex(toUtf8("what do ya want for nothing?")),
    "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
  ],
  ["aa".repeat(20), "dd".repeat(50), "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"],
  [
    "0102030405060708090a0b0c0d0e0f10111213141516171819",
    "cd".repeat(50),
    "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
  ],
  [
    "aa".repeat(131),
    toHex(toUtf8("Test Using Larger Than Block-Size Key - Hash Key First")),
    "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
  ],
  [
    "aa".repeat(131),
    toHex(toUtf8(
      "This is a test using a larger than block-size key and a larger than block-size data. The key needs to be hashed before being used by the HMAC algorithm.",
    )),
    "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
  ],
] as const;

testOnBoth("hmacSha256() gives the codes of RFC 4231", (primitives) => {
  for (const [key, message, code] of HMAC_VECTORS) {
    assert.equal(toHex(primitives.hmacSha256(fromHex(key))(fromHex(message))), code);
  }
});

Deno.test("native hmacSha256() agrees with noble for keys and messages of any length, used in turns", () => {
  fc.assert(fc.property(
    fc.array(fc.tuple(bytes({ maxLength: 140 }), bytes({ maxLength: 1200 })), { maxLength: 4 }),
    (pairs) => {
      const keyed = pairs.map(([key, message]) => [native.hmacSha256(key), key, message] as const);
      for (const [code, key, message] of [...keyed, ...keyed.toReversed()]) {
        assert.deepEqual(code(message), noblePrimitives.hmacSha256(key)(message));
      }
    },
  ));
});

// McGrew and Viega, "The Galois/Counter Mode of Operation", appendix B, test cases 13 to 18; then entries of real
// ledgers, ledger-and-receipts.md §3.6 and §3.7.
const GCM_PLAINTEXT =
  "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255";
const GCM_CIPHERTEXT =
  "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad";
const GCM_KEY = "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308";
const GCM_IV = "cafebabefacedbaddecaf888";
const GCM_VECTORS = [
  {
    key: "00".repeat(32),
    iv: "00".repeat(12),
    data: "",
    plaintext: "",
    ciphertext: "",
    tag: "530f8afbc74536b9a963b4f1c4cb738b",
  },
  {
    key: "00".repeat(32),
    iv: "00".repeat(12),
    data: "",
    plaintext: "00".repeat(16),
    ciphertext: "cea7403d4d606b6e074ec5d3baf39d18",
    tag: "d0d1c8a799996bf0265b98b5d48ab919",
  },
  {
    key: GCM_KEY,
    iv: GCM_IV,
    data: "",
    plaintext: GCM_PLAINTEXT,
    ciphertext: GCM_CIPHERTEXT,
    tag: "b094dac5d93471bdec1a502270e3cc6c",
  },
  {
    key: GCM_KEY,
    iv: GCM_IV,
    data: "feedfacedeadbeeffeedfacedeadbeefabaddad2",
    plaintext: GCM_PLAINTEXT.slice(0, 120),
    ciphertext: GCM_CIPHERTEXT.slice(0, 120),
    tag: "76fc6ece0f4e1768cddf8853bb2d551b",
  },
  // 8 bytes, as between nodes, and 60: both are hashed into the first counter block.
  {
    key: GCM_KEY,
    iv: "cafebabefacedbad",
    data: "feedfacedeadbeeffeedfacedeadbeefabaddad2",
    plaintext: GCM_PLAINTEXT.slice(0, 120),
    ciphertext:
      "c3762df1ca787d32ae47c13bf19844cbaf1ae14d0b976afac52ff7d79bba9de0feb582d33934a4f0954cc2363bc73f7862ac430e64abe499f47c9b1f",
    tag: "3a337dbf46a792c45e454913fe2ea8f2",
  },
  {
    key: GCM_KEY,
    iv: "9313225df88406e555909c5aff5269aa6a7a9538534f7da1e4c303d2a318a728" +
      "c3c0c95156809539fcf0e2429a6b525416aedbf5a0de6a57a637b39b",
    data: "feedfacedeadbeeffeedfacedeadbeefabaddad2",
    plaintext: GCM_PLAINTEXT.slice(0, 120),
    ciphertext:
      "5a8def2f0c9e53f1f75d7853659e2a20eeb2b22aafde6419a058ab4f6f746bf40fc0c3b780f244452da3ebf1c5d82cdea2418997200ef82e44ae7e3f",
    tag: "a44a8266ee1c8eb0c8b5d4cf5ae9f19a",
  },
  {
    key: "0247b5e43538db6bfa1c76ea8561c09d47533c40a71c8cd38f0bdf28dbeea840",
    iv: "180000000000000002000000",
    data: "04" + "1800000000000000" + "00".repeat(32) +
      "61600e517ab2e422548ecc4a2c8b4a081ad88eb143ba3d76406ec641e96f558c" + "0000000000000000" +
      "0e00000000000000" + "7075626c69633a7265636f726473" + "00".repeat(16) + "0100000000000000" +
      "0200000000000000" + "3432" + "2800000000000000" +
      "22556e696e746572657374696e67207265636f76657261626c65207472616e73616374696f6e7322" + "0000000000000000",
    plaintext: "",
    ciphertext: "",
    tag: "917c08b6ebfa01165104343842b5c121",
  },
  {
    key: "d917951c0773a06148d2ff5bf0c984d075fdceb601255157ac004bb53b351079",
    iv: "110000000000000002000000",
    data: "04" + "1100000000000000" + "00".repeat(32) +
      "266ee6ffc4bd003458c67798796e06e07ee60c105c3fddeabdf831dca3572b78" + "0000000000000000",
    plaintext: "07000000000000007265636f726473" + "00".repeat(16) + "0100000000000000" + "0200000000000000" + "3432" +
      "0500000000000000" + "68656c6c6f" + "0000000000000000",
    ciphertext:
      "d0575ea51389082b5384f1a6d6687dd5c47fd010e7f45e60cde4ec13609ff144981837ad3823855b1e8fd3e453b907752957c335e40c659d7b3270fe87db64f87cdb12b232c1",
    tag: "67b30d330439b435fcd37fd402addd90",
  },
];

testOnBoth("gcmSeal() and gcmOpen() agree with the GCM specification and with real ledger entries", (primitives) => {
  for (const vector of GCM_VECTORS) {
    const [key, iv, data, plaintext] = [vector.key, vector.iv, vector.data, vector.plaintext].map(fromHex) as [
      Uint8Array,
      Uint8Array,
      Uint8Array,
      Uint8Array,
    ];
    const { ciphertext, tag } = primitives.gcmSeal(key, iv, data, plaintext);
    assert.equal(toHex(ciphertext), vector.ciphertext);
    assert.equal(toHex(tag), vector.tag);
    assert.deepEqual(primitives.gcmOpen(key, iv, data, ciphertext, tag), plaintext);
  }
});

testOnBoth("gcmSeal() writes where it is told to, also over the plaintext", (primitives) => {
  const key = new Uint8Array(32).fill(1);
  const iv = new Uint8Array(12).fill(2);
  for (const length of [0, 1, 100, MAX_SHORT_GCM_BYTES + 1]) {
    const place = Uint8Array.from({ length: length + 18 }, (_, i) => i);
    const into = { tag: place.subarray(1, 17), ciphertext: place.subarray(17, 17 + length) };
    const expected = primitives.gcmSeal(key, iv, key, into.ciphertext.slice());
    assert.equal(primitives.gcmSeal(key, iv, key, into.ciphertext, into), into);
    const around = [toHex(new Uint8Array([0])), toHex(new Uint8Array([length + 17]))];
    assert.equal(toHex(place), around.join(toHex(expected.tag) + toHex(expected.ciphertext)));
  }
});

testOnBoth("gcmOpen() opens nothing of which one bit has changed", (primitives) => {
  const sealedParts = fc.tuple(
    bytes({ minLength: 32, maxLength: 32 }),
    fc.constantFrom(8, 12).chain((length) => bytes({ minLength: length, maxLength: length })),
    bytes({ maxLength: 40 }),
    bytes({ maxLength: 40 }),
  );
  fc.assert(
    fc.property(sealedParts, fc.nat(), ([key, iv, data, plaintext], bit) => {
      const { ciphertext, tag } = primitives.gcmSeal(key, iv, data, plaintext);
      assert.deepEqual(primitives.gcmOpen(key, iv, data, ciphertext, tag), plaintext);
      const parts = [key, iv, data, ciphertext, tag];
      const whole = concat(...parts);
      const at = bit % (8 * whole.length);
      whole[at >>> 3]! ^= 1 << (at & 7);
      let start = 0;
      const changed = parts.map(({ length }) => whole.subarray(start, start += length)) as Parameters<
        typeof primitives.gcmOpen
      >;
      assert.equal(primitives.gcmOpen(...changed), undefined);
    }),
    { numRuns: 60 },
  );
});

Deno.test("native results are arrays of their own, not views that drag secrets along", () => {
  const key = new Uint8Array(32);
  const { ciphertext, tag } = native.gcmSeal(key, new Uint8Array(12), key, key);
  const results = {
    sha256: native.sha256(key),
    longSha256: native.sha256(new Uint8Array(2000)),
    hmacSha256: native.hmacSha256(key)(key),
    longHmacSha256: native.hmacSha256(key)(new Uint8Array(2000)),
    ciphertext,
    tag,
    plaintext: native.gcmOpen(key, new Uint8Array(12), key, ciphertext, tag),
  };
  for (const [name, result] of Object.entries(results)) {
    assert.equal(Object.getPrototypeOf(result), Uint8Array.prototype, name);
    assert.equal(result?.buffer.byteLength, result?.length, name);
  }
});

testOnBoth("sha256() and hmacSha256() write where they are told to, and nowhere else", (primitives) => {
  for (const length of [0, 100, MAX_SHORT_MESSAGE_BYTES + 1]) {
    const message = new Uint8Array(length).fill(7);
    const hmac = primitives.hmacSha256(message.slice(0, 40));
    for (const hash of [primitives.sha256, hmac]) {
      const place = new Uint8Array(34).fill(0xee);
      const into = place.subarray(1, 33);
      assert.equal(hash(message, into), into);
      assert.equal(toHex(place), `ee${toHex(hash(message))}ee`);
    }
  }
});

Deno.test("native digests are not changed by later calls", () => {
  const first = native.sha256(toUtf8("first"));
  const before = toHex(first);
  native.sha256(toUtf8("second"));
  native.hmacSha256(first)(first);
  assert.equal(toHex(first), before);
});

// RFC 6979 §A.2.5 to §A.2.7, message "sample". The s of P-256 is above half of the order.
const ECDSA_VECTORS: readonly { curve: CurveName; hash: HashName; x: string; y: string; r: string; s: string }[] = [
  {
    curve: "P-256",
    hash: "SHA-256",
    x: "60FED4BA255A9D31C961EB74C6356D68C049B8923B61FA6CE669622E60F29FB6",
    y: "7903FE1008B8BC99A41AE9E95628BC64F2F1B20C2D7E9F5177A3C294D4462299",
    r: "EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716",
    s: "F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8",
  },
  {
    curve: "P-384",
    hash: "SHA-384",
    x: "EC3A4E415B4E19A4568618029F427FA5DA9A8BC4AE92E02E06AAE5286B300C64DEF8F0EA9055866064A254515480BC13",
    y: "8015D9B72D7D57244EA8EF9AC0C621896708A59367F9DFB9F54CA84B3F1C9DB1288B231C3AE0D4FE7344FD2533264720",
    r: "94EDBB92A5ECB8AAD4736E56C691916B3F88140666CE9FA73D64C4EA95AD133C81A648152E44ACF96E36DD1E80FABE46",
    s: "99EF4AEB15F178CEA1FE40DB2603138F130E740A19624526203B6351D0A3A94FA329C145786E679E7B82C71A38628AC8",
  },
  {
    curve: "P-384",
    hash: "SHA-512", // longer than the order: only its first 384 bits count
    x: "EC3A4E415B4E19A4568618029F427FA5DA9A8BC4AE92E02E06AAE5286B300C64DEF8F0EA9055866064A254515480BC13",
    y: "8015D9B72D7D57244EA8EF9AC0C621896708A59367F9DFB9F54CA84B3F1C9DB1288B231C3AE0D4FE7344FD2533264720",
    r: "ED0959D5880AB2D869AE7F6C2915C6D60F96507F9CB3E047C0046861DA4A799CFE30F35CC900056D7C99CD7882433709",
    s: "512C8CCEEE3890A84058CE1E22DBC2198F42323CE8ACA9135329F03C068E5112DC7CC3EF3446DEFCEB01A45C2667FDD5",
  },
  {
    curve: "P-521",
    hash: "SHA-512",
    x: "01894550D0785932E00EAA23B694F213F8C3121F86DC97A04E5A7167DB4E5BCD371123D46E45DB6B5D5370A7F20FB633155D38FFA16D2BD761DCAC474B9A2F5023A4",
    y: "00493101C962CD4D2FDDF782285E64584139C2F91B47F87FF82354D6630F746A28A0DB25741B5B34A828008B22ACC23F924FAAFBD4D33F81EA66956DFEAA2BFDFCF5",
    r: "00C328FAFCBD79DD77850370C46325D987CB525569FB63C5D3BC53950E6D4C5F174E25A1EE9017B5D450606ADD152B534931D7D4E8455CC91F9B15BF05EC36E377FA",
    s: "00617CCE7CF5064806C467F678D3B4080D6F1CC50AF26CA209417308281B68AF282623EAA63E5B5C0723D8B8C37FF0777B1A20F8CCB1DCCC43997F1EE0E44DA4A67A",
  },
];

testOnBoth("ecdsaVerifyHashed() accepts the signatures of RFC 6979, however often", (primitives) => {
  for (const { curve, hash: hashName, x, y, r, s } of ECDSA_VECTORS) {
    const point = fromHex("04" + x + y);
    const digest = hash(hashName, toUtf8("sample"));
    const other = hash(hashName, toUtf8("test"));
    for (let use = 0; use < 6; use++) {
      assert.equal(primitives.ecdsaVerifyHashed(curve, point, digest, fromHex(r + s)), true, `${curve}, use ${use}`);
      assert.equal(primitives.ecdsaVerifyHashed(curve, point, other, fromHex(r + s)), false, `${curve}, use ${use}`);
    }
  }
});

testOnBoth("ecdsaVerifyHashed() refuses numbers out of range, wrong lengths and points off the curve", (primitives) => {
  for (const { curve, hash: hashName, x, y, r, s } of ECDSA_VECTORS) {
    const point = fromHex("04" + x + y);
    const digest = hash(hashName, toUtf8("sample"));
    const { Fn, Fp } = NOBLE_CURVES[curve].Point;
    const zero = "00".repeat(Fn.BYTES);
    const order = toHex(fromHex(Fn.ORDER.toString(16).padStart(2 * Fn.BYTES, "0")));
    const above = (number: string) =>
      (BigInt("0x" + number) + Fn.ORDER).toString(16).padStart(2 * Fn.BYTES, "0").slice(-2 * Fn.BYTES);
    const refused = [zero + s, r + zero, order + s, r + order, above(r) + s, r + above(s), s + r, r, r + s + "00", ""];
    for (let use = 0; use < 5; use++) {
      for (const signature of refused) {
        assert.equal(primitives.ecdsaVerifyHashed(curve, point, digest, fromHex(signature)), false, signature);
      }
    }
    const offCurve = fromHex("04" + x + zero);
    const infinity = Uint8Array.of(0);
    const tooLarge = fromHex("04" + Fp.ORDER.toString(16).padStart(2 * Fp.BYTES, "0") + y);
    for (const key of [offCurve, infinity, tooLarge, point.subarray(1), new Uint8Array()]) {
      for (let use = 0; use < 6; use++) {
        assert.equal(primitives.ecdsaVerifyHashed(curve, key, digest, fromHex(r + s)), false);
      }
    }
  }
});

Deno.test("native ecdsaVerifyHashed() agrees with noble on signatures by another implementation, whole and broken", () => {
  const names = { "P-256": "prime256v1", "P-384": "secp384r1", "P-521": "secp521r1" } as const;
  for (const curve of ["P-256", "P-384", "P-521"] as const) {
    const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: names[curve] });
    const jwk = publicKey.export({ format: "jwk" });
    const point = concat(
      Uint8Array.of(4),
      ...[jwk.x!, jwk.y!].map((text) => Uint8Array.fromBase64(text, { alphabet: "base64url" })),
    );
    fc.assert(
      fc.property(bytes({ maxLength: 20 }), fc.nat(), (message, bit) => {
        const signature = new Uint8Array(sign("sha384", message, { key: privateKey, dsaEncoding: "ieee-p1363" }));
        const digest = hash("SHA-384", message);
        assert.equal(native.ecdsaVerifyHashed(curve, point, digest, signature), true);
        const at = bit % (8 * signature.length);
        signature[at >>> 3]! ^= 1 << (at & 7);
        assert.equal(
          native.ecdsaVerifyHashed(curve, point, digest, signature),
          noblePrimitives.ecdsaVerifyHashed(curve, point, digest, signature),
        );
      }),
      { numRuns: 12 },
    );
  }
});

Deno.test("native ecdsaVerifyHashed() still verifies with a key it has forgotten", () => {
  const [{ curve, hash: hashName, x, y, r, s }] = ECDSA_VECTORS as [typeof ECDSA_VECTORS[number]];
  const digest = hash(hashName, toUtf8("sample"));
  const verify = () => native.ecdsaVerifyHashed(curve, fromHex("04" + x + y), digest, fromHex(r + s));
  for (let use = 0; use < 5; use++) assert.equal(verify(), true);
  for (let other = 0; other <= MAX_KNOWN_KEYS; other++) {
    native.ecdsaVerifyHashed(curve, Uint8Array.of(4, other), digest, fromHex(r + s));
  }
  for (let use = 0; use < 5; use++) assert.equal(verify(), true);
});

Deno.test("rsaOaepDecrypt() decrypts on both primitives what another implementation encrypted, and nothing else", () => {
  const { privateKey, publicKey } = generateKeyPairSync("rsa", {
    modulusLength: 2048,
    publicKeyEncoding: { type: "spki", format: "pem" },
    privateKeyEncoding: { type: "pkcs8", format: "der" },
  });
  const key = new Uint8Array(privateKey);
  for (const label of [undefined, toUtf8("label")]) {
    const message = toUtf8("a share");
    const padding = constants.RSA_PKCS1_OAEP_PADDING;
    const options = {
      key: publicKey,
      padding,
      oaepHash: "sha256",
      ...(label === undefined ? {} : { oaepLabel: label }),
    };
    const ciphertext = new Uint8Array(publicEncrypt(options, message));
    for (const [name, primitives] of PRIMITIVE_SETS) {
      assert.deepEqual(primitives.rsaOaepDecrypt(key, ciphertext, label), message, name);
      assert.equal(primitives.rsaOaepDecrypt(key, ciphertext, toUtf8("other")), undefined, name);
      assert.equal(primitives.rsaOaepDecrypt(key, ciphertext.subarray(1), label), undefined, name);
      assert.equal(primitives.rsaOaepDecrypt(key, new Uint8Array(256).fill(255), label), undefined, name);
    }
  }
});

Deno.test("native rsaOaepDecrypt() refuses what is no RSA key", () => {
  const ec = createECDH("prime256v1").generateKeys();
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "prime256v1" });
  const wrong = [
    new Uint8Array(),
    new Uint8Array(ec),
    new Uint8Array(privateKey.export({ format: "der", type: "pkcs8" })),
  ];
  for (const key of wrong) {
    assert.throws(
      () => native.rsaOaepDecrypt(key, new Uint8Array(256)),
      new FormatError("Cannot read an RSA key: it must be PKCS#8 in DER"),
    );
  }
});
