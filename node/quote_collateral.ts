/**
 * What vouches for bare evidence, from a directory: certificates, a revocation list, an endorsement, Intel's collateral.
 *
 * In: a directory. Out: the bytes of each, told apart by the names of the files. Judges nothing.
 *
 *     *.pem *.crt             certificates, several in a file too        *.der *.cer     one certificate
 *     *crl*.der *.crl         revocation list (DER)                      *.cose          UVM endorsement
 *     auxblob*                SEV-SNP's table of certificates, as the host gives it
 *     collateral.json         Intel's statements, as the vectors of attestation/vectors/README.md have them
 */

import { join } from "node:path";
import { FormatError } from "../shared/assert.ts";
import { parseCertificateTable } from "../shared/attestation/certificate_table.ts";
import { collateralTexts } from "../shared/attestation/dcap/collateral.ts";
import { fromUtf8 } from "../shared/bytes.ts";
import { parsePem } from "../shared/crypto/pem.ts";
import { parseJsonBytes } from "../shared/json.ts";
import { MAX_COLLATERAL_FILES, MAX_ENDORSEMENTS_BYTES } from "../shared/limits.ts";
import type { BareEvidence } from "../shared/trust/bare_evidence.ts";
import { readFile, reasonOf, UsageError } from "./commands/exit.ts";

type Found = { -readonly [K in keyof Omit<BareEvidence, "bytes" | "certificates">]: BareEvidence[K] } & {
  readonly certificates: Uint8Array[];
};

/** @throws UsageError where the directory or a file of it cannot be used */
export function readCollateral(directory: string): Omit<BareEvidence, "bytes"> {
  const found: Found = { certificates: [] };
  for (const name of filesOf(directory)) {
    const take = takerOf(name);
    if (take === undefined) continue;
    const path = join(directory, name);
    const bytes = readFile(path, "the collateral");
    try {
      if (bytes.length > MAX_ENDORSEMENTS_BYTES) {
        throw new FormatError(`it has ${bytes.length} bytes, of ${MAX_ENDORSEMENTS_BYTES} at most`);
      }
      take(found, bytes);
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      throw new UsageError(`Cannot use the collateral ${path}: ${error.message}`);
    }
  }
  return found;
}

/** What is done with a file of this name; nothing with others, such as a README. */
function takerOf(name: string): ((found: Found, bytes: Uint8Array) => void) | undefined {
  const lower = name.toLowerCase();
  if (lower.endsWith(".crl") || (lower.includes("crl") && lower.endsWith(".der"))) {
    return (found, bytes) => found.revocationList = onlyOne(found.revocationList, bytes, "revocation list");
  }
  if (/\.(pem|crt)$/.test(lower)) {
    return (found, bytes) => {
      const blocks = parsePem(fromUtf8(bytes)).filter(({ label }) => label === "CERTIFICATE");
      found.certificates.push(...blocks.map(({ der }) => der));
    };
  }
  if (/\.(der|cer)$/.test(lower)) return (found, bytes) => found.certificates.push(bytes);
  if (lower.startsWith("auxblob")) {
    return (found, bytes) => {
      const { vcek, vlek, ask, ark } = parseCertificateTable(bytes);
      for (const der of [vcek, vlek, ask, ark]) if (der !== undefined) found.certificates.push(der);
    };
  }
  if (lower.endsWith(".cose")) {
    return (found, bytes) => found.uvm = onlyOne(found.uvm, bytes, "endorsement (*.cose)");
  }
  if (lower === "collateral.json") {
    return (found, bytes) => found.collateral = collateralTexts(parseJsonBytes(bytes));
  }
  return undefined;
}

function onlyOne(there: Uint8Array | undefined, bytes: Uint8Array, what: string): Uint8Array {
  if (there !== undefined) throw new FormatError(`it is the second ${what} of the directory`);
  return bytes;
}

function filesOf(directory: string): string[] {
  try {
    const names = [...Deno.readDirSync(directory)].filter(({ isFile }) => isFile).map(({ name }) => name).sort();
    if (names.length <= MAX_COLLATERAL_FILES) return names;
    throw new UsageError(`Cannot use the collateral in ${directory}: it has more than ${MAX_COLLATERAL_FILES} files`);
  } catch (error) {
    if (error instanceof UsageError) throw error;
    throw new UsageError(`Cannot read the collateral in ${directory}: ${reasonOf(error)}`);
  }
}
