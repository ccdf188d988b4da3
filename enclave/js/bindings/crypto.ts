/**
 * `ccf.crypto`: digests, AES keys, and whether text is a bundle of certificates.
 *
 * Rules and texts: js-apps.md §8.6, CCF src/js/extensions/ccf/crypto.cpp
 */

import { FormatError } from "../../../shared/assert.ts";
import { hash } from "../../../shared/crypto/hashes.ts";
import { parseCertificatePem } from "../../../shared/crypto/x509.ts";
import { MAX_PEM_BYTES } from "../../../shared/limits.ts";
import type { Binding } from "../binding.ts";
import { ScriptError } from "../machine.ts";

const AES_KEY_BITS = [128, 192, 256];

export const crypto: Binding = {
  functions: {
    "ccf.crypto.generateAesKey": {
      length: 1,
      run({ context, machine }, given) {
        given.expect(1);
        const bits = Math.trunc(machine.toNumber(given.at(0)));
        if (!AES_KEY_BITS.includes(bits)) {
          throw new ScriptError("RangeError", "invalid key size (not one of 128, 192, 256)");
        }
        return machine.newBuffer(context.random(bits / 8));
      },
    },

    "ccf.crypto.digest": {
      length: 2,
      anytime: true,
      run({ machine }, given) {
        given.expect(2);
        if (machine.textOf(given.at(0)) !== "SHA-256") {
          throw new ScriptError("RangeError", "unsupported digest algorithm, supported: SHA-256");
        }
        return machine.newBuffer(hash("SHA-256", given.buffer(1, "not an ArrayBuffer")));
      },
    },

    "ccf.crypto.isValidX509CertBundle": {
      length: 1,
      anytime: true,
      run({ machine }, given) {
        given.expect(1);
        return machine.newBoolean(isCertificateBundle(machine.textOf(given.at(0))));
      },
    },
  },
};

const BEGIN = "-----BEGIN CERTIFICATE-----", END = "-----END CERTIFICATE-----";

/**
 * Whether text is certificates, one directly behind the other. Quirks of CCF: empty text is a bundle of none, and text
 * behind the last certificate is not looked at.
 */
export function isCertificateBundle(text: string): boolean {
  if (text.length > MAX_PEM_BYTES) return false;
  let rest = text;
  for (let end = rest.indexOf(END); end >= 0; end = rest.indexOf(END)) {
    const block = rest.slice(0, end + END.length);
    rest = rest.slice(block.length).trimStart();
    if (!block.trimStart().startsWith(BEGIN) || !isCertificate(block)) return false;
  }
  return text === "" || rest !== text;
}

function isCertificate(pem: string): boolean {
  try {
    parseCertificatePem(pem);
    return true;
  } catch (error) {
    if (error instanceof FormatError) return false;
    throw error;
  }
}
