/**
 * What enclaves draw on in a simulation: the real arithmetic, with entropy from a seed and a clock that stands still for
 * scripts.
 *
 * In: seeds. Out: powers under which two runs are equal, byte for byte. Nothing here is secret: anybody can draw it again.
 */

import { checkPrimeSync, createPrivateKey, createPublicKey } from "node:crypto";
import { toHex } from "../../../shared/bytes.ts";
import type { CurveName, Primitives, Random } from "../../../shared/crypto/primitives.ts";
import { loadScriptEngine } from "../../../enclave/js/runtime.ts";
import { loadNativePrimitives } from "../../../enclave/native_primitives.ts";
import type { EnclavePowers } from "../../../enclave/powers.ts";
import { SeededRandom } from "../random.ts";

export interface RsaKeyPair {
  readonly publicKeyPem: string;
  readonly privateKeyPkcs8: Uint8Array;
}

/** Different nodes may have the same pair: what is sealed for a node names it, and nobody here guesses keys. */
const RSA_KEY_PAIRS = 4;
const PRIME_BITS = 1024;
const RSA_EXPONENT = 65537n;
const MAX_REMEMBERED_VERIFICATIONS = 10_000;

/** Is loaded once a process, and serves any number of schedules. */
export class Machinery {
  readonly #keyPairs: RsaKeyPair[] = [];

  private constructor(readonly primitives: Primitives, readonly scripts: EnclavePowers["scripts"]) {}

  static async load(): Promise<Machinery> {
    return new Machinery(withRememberedVerifications(loadNativePrimitives()), await loadScriptEngine(() => 0));
  }

  /** Powers of one enclave. @param verified is given digests, in hex, of which a signature was found to be good */
  powers(seed: number, verified: Set<string>): EnclavePowers {
    const { scripts } = this;
    const random = randomOf(seed);
    const primitives: Primitives = {
      ...this.primitives,
      ecdsaVerifyHashed: (curve, publicKey, digest, signature) => {
        const isGood = this.primitives.ecdsaVerifyHashed(curve, publicKey, digest, signature);
        if (isGood) verified.add(toHex(digest));
        return isGood;
      },
    };
    return { primitives, scripts, random, rsaKeyPair: () => this.rsaKeyPair(random(1)[0]!) };
  }

  /** One of a few pairs, which are the same in every process. */
  rsaKeyPair(number: number): RsaKeyPair {
    const at = number % RSA_KEY_PAIRS;
    return this.#keyPairs[at] ??= drawRsaKeyPair(at);
  }
}

/** Bytes from a seed. */
export function randomOf(seed: number): Random {
  const numbers = new SeededRandom(seed);
  return (length) => {
    const bytes = new Uint8Array(length);
    let word = 0;
    for (let at = 0; at < length; at++, word >>>= 8) {
      if (at % 4 === 0) word = numbers.below(0x1_0000_0000);
      bytes[at] = word & 0xff;
    }
    return bytes;
  };
}

/** All nodes check the same signatures; the answer is the same each time. */
function withRememberedVerifications(primitives: Primitives): Primitives {
  const known = new Map<string, boolean>();
  const ecdsaVerifyHashed = (curve: CurveName, key: Uint8Array, digest: Uint8Array, signature: Uint8Array) => {
    const name = `${curve} ${toHex(key)} ${toHex(digest)} ${toHex(signature)}`;
    let result = known.get(name);
    if (result === undefined) {
      result = primitives.ecdsaVerifyHashed(curve, key, digest, signature);
      if (known.size >= MAX_REMEMBERED_VERIFICATIONS) known.clear();
      known.set(name, result);
    }
    return result;
  };
  return { ...primitives, ecdsaVerifyHashed };
}

/** The runtime makes RSA keys from entropy that nobody can seed, so primes are looked for here. */
function drawRsaKeyPair(seed: number): RsaKeyPair {
  const random = randomOf(seed);
  const p = drawPrime(random);
  const q = drawPrime(random);
  const d = inverse(RSA_EXPONENT, (p - 1n) * (q - 1n));
  const jwk = {
    kty: "RSA",
    n: base64url(p * q),
    e: base64url(RSA_EXPONENT),
    d: base64url(d),
    p: base64url(p),
    q: base64url(q),
    dp: base64url(d % (p - 1n)),
    dq: base64url(d % (q - 1n)),
    qi: base64url(inverse(q, p)),
  };
  const key = createPrivateKey({ key: jwk, format: "jwk" });
  return {
    publicKeyPem: createPublicKey(key).export({ type: "spki", format: "pem" }) as string,
    privateKeyPkcs8: new Uint8Array(key.export({ type: "pkcs8", format: "der" }) as Uint8Array),
  };
}

function drawPrime(random: Random): bigint {
  // The two highest bits make the product as long as both together.
  let candidate = BigInt(`0x${toHex(random(PRIME_BITS / 8))}`) | (3n << BigInt(PRIME_BITS - 2)) | 1n;
  while (candidate % RSA_EXPONENT === 1n || !checkPrimeSync(candidate)) candidate += 2n;
  return candidate;
}

/** The number below `modulus` that times `value` is 1 there. */
function inverse(value: bigint, modulus: bigint): bigint {
  let [a, b, x, y] = [value % modulus, modulus, 1n, 0n];
  while (a > 1n) [a, b, x, y] = [b % a, a, y - (b / a) * x, x];
  return ((x % modulus) + modulus) % modulus;
}

function base64url(value: bigint): string {
  const hex = value.toString(16);
  const bytes = Uint8Array.fromHex(hex.length % 2 === 0 ? hex : `0${hex}`);
  return bytes.toBase64({ alphabet: "base64url", omitPadding: true });
}
