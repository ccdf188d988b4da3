/**
 * `receipt verify FILE…`: checks receipts with nothing but the service's certificate.
 *
 * In: receipt files, JSON or COSE. Out: for people the steps of each, for machines JSON; exit code 0, 1 or 2.
 */

import { Command, Option } from "commander";
import { FormatError } from "../../shared/assert.ts";
import { fromHex, fromUtf8 } from "../../shared/bytes.ts";
import type { Primitives } from "../../shared/crypto/primitives.ts";
import { parseCertificatePem } from "../../shared/crypto/x509.ts";
import { MAX_RECEIPT_BYTES } from "../../shared/limits.ts";
import { parseCoseReceipt, verifyCoseReceipt } from "../../shared/receipt/cose_receipt.ts";
import type { Expected } from "../../shared/receipt/expected.ts";
import { parseReceipt } from "../../shared/receipt/receipt.ts";
import { verifyReceipt } from "../../shared/receipt/verify_receipt.ts";
import { parseTxId } from "../../shared/tx_id.ts";
import type { Step, Verdict } from "../../shared/verdict.ts";
import { loadNativePrimitives } from "../../enclave/native_primitives.ts";
import { type Colours, stdoutColours } from "./colours.ts";
import { ExitCode, keepPermissions, readFile, readTextFile, UsageError } from "./exit.ts";

export interface ReceiptOptions {
  readonly serviceCert: string;
  readonly claims?: string;
  readonly claimsDigest?: string;
  readonly txId?: string;
  readonly json?: boolean;
}

export function receiptCommand(): Command {
  const verify = new Command("verify")
    .description("Verify receipts, JSON or COSE, trusting only the service's certificate")
    .argument("<FILE...>", "receipts")
    .requiredOption("--service-cert <FILE>", "certificate of the service (PEM)")
    .addOption(new Option("--claims <FILE>", "what the application claimed: its SHA-256 must be in the receipt"))
    .addOption(new Option("--claims-digest <HEX>", "the SHA-256 itself").conflicts("claims"))
    .option("--tx-id <V.S>", "the transaction that the receipt must be for")
    .option("--json", "print one JSON document instead of text")
    .action(async (files: string[], options: ReceiptOptions) => {
      keepPermissions(["read", "env"]);
      Deno.exitCode = verifyFiles(await loadNativePrimitives(), files, options);
    });
  return new Command("receipt").description("Proofs that a transaction is in a ledger").addCommand(verify);
}

/** `receipt verify`, all but its permissions. @throws UsageError */
export function verifyFiles(primitives: Primitives, files: readonly string[], options: ReceiptOptions): number {
  const serviceCertificate = readServiceCertificate(options.serviceCert);
  const expected = readExpected(primitives, options);
  const results = files.map((file) => ({
    file,
    ...verifyOne(primitives, readFile(file, "the receipt"), file, serviceCertificate, expected),
  }));
  if (options.json === true) console.log(JSON.stringify(results.length === 1 ? results[0] : results, null, 2));
  else {
    const colours = stdoutColours();
    for (const { file, ...verdict } of results) printVerdict(file, verdict, colours);
  }
  return results.every(({ verdict }) => verdict === "verified") ? ExitCode.done : ExitCode.refused;
}

/** @throws UsageError where it is none, so that no receipt is blamed for it */
function readServiceCertificate(path: string): string {
  const pem = readTextFile(path, "the service certificate");
  try {
    parseCertificatePem(pem);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    throw new UsageError(`Cannot use the service certificate ${path}: ${error.message}`);
  }
  return pem;
}

function readExpected(primitives: Primitives, { claims, claimsDigest, txId }: ReceiptOptions): Expected {
  const digest = claims !== undefined
    ? primitives.sha256(readFile(claims, "the claims"))
    : claimsDigest === undefined
    ? undefined
    : fromHex(claimsDigest);
  if (digest !== undefined && digest.length !== 32) {
    throw new UsageError(
      `Cannot compare claims: --claims-digest must be 64 hex digits and has ${claimsDigest!.length}`,
    );
  }
  return { ...(digest && { claimsDigest: digest }), ...(txId !== undefined && { txId: parseTxId(txId) }) };
}

/** @throws UsageError where the file is neither kind of receipt */
function verifyOne(
  primitives: Primitives,
  bytes: Uint8Array,
  file: string,
  serviceCertificate: string,
  expected: Expected,
): Verdict {
  if (bytes.length > MAX_RECEIPT_BYTES) {
    throw new UsageError(
      `Cannot read ${file} as a receipt: it has ${bytes.length} bytes, at most ${MAX_RECEIPT_BYTES}`,
    );
  }
  try {
    // A COSE receipt begins with the tag of COSE_Sign1, JSON with a brace.
    if (bytes[0] === 0xd2) return verifyCoseReceipt(primitives, parseCoseReceipt(bytes), serviceCertificate, expected);
    return verifyReceipt(primitives, parseReceipt(fromUtf8(bytes)), serviceCertificate, expected);
  } catch (error) {
    if (error instanceof FormatError) throw new UsageError(`${file}: ${error.message}`);
    throw error;
  }
}

function printVerdict(file: string, { verdict, steps, reason }: Verdict, { dim, green, red, yellow }: Colours): void {
  const marks: Readonly<Record<Step["result"], string>> = {
    verified: green("ok "),
    failed: red("BAD"),
    "not checked": dim(" - "),
    "cannot be checked": yellow(" ? "),
  };
  for (const { name, result, detail } of steps) console.log(`  ${marks[result]} ${name}: ${detail}`);
  if (verdict === "verified") console.log(`${green("Verified")}: ${file}`);
  else console.log(`${red("Refused")}: ${file}: ${reason}`);
}
