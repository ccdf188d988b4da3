/**
 * PEM: DER in base64 between two lines that name it.
 *
 * In: text, which may hold several blocks and other lines around them. Out: labels and bytes, and back.
 * Knows nothing of what is inside.
 * Format: RFC 7468, written as OpenSSL does: 64 columns, LF, a newline at the end
 *
 *     -----BEGIN EC PARAMETERS-----
 *     BgUrgQQAIg==
 *     -----END EC PARAMETERS-----
 */

import { FormatError } from "../assert.ts";
import { fromBase64, toBase64 } from "../bytes.ts";
import { MAX_PEM_BYTES } from "../limits.ts";

export interface PemBlock {
  /** What the first line names: `CERTIFICATE`, `PRIVATE KEY`, … */
  readonly label: string;
  readonly der: Uint8Array;
}

const BOUNDARY = /^-----(BEGIN|END) ([A-Z0-9][A-Z0-9 ]*)-----$/;
const COLUMNS = 64;

/**
 * Every block of a text, in order. Lines outside blocks do not count; lines may end in CRLF.
 *
 * @throws FormatError where a block has no end, another block inside, header lines, or a body that is not base64
 */
export function parsePem(text: string): PemBlock[] {
  if (text.length > MAX_PEM_BYTES) throw new FormatError(`Cannot read PEM: it is longer than ${MAX_PEM_BYTES} bytes`);
  const blocks: PemBlock[] = [];
  let label: string | undefined;
  let body: string[] = [];
  for (const rawLine of text.split("\n")) {
    const line = rawLine.trimEnd();
    const [, side, name] = BOUNDARY.exec(line) ?? [];
    if (label === undefined) {
      if (side === "END") throw new FormatError(`Cannot read PEM: END ${name} without a BEGIN`);
      if (side === "BEGIN") [label, body] = [name, []];
    } else if (side === undefined) {
      body.push(line);
    } else if (side === "BEGIN" || name !== label) {
      throw new FormatError(`Cannot read PEM: ${side} ${name} inside ${label}`);
    } else {
      blocks.push({ label, der: decodeBody(label, body) });
      label = undefined;
    }
  }
  if (label !== undefined) throw new FormatError(`Cannot read PEM: ${label} has no END line`);
  return blocks;
}

/**
 * The bytes of the only block, which must have this label.
 *
 * @throws FormatError
 */
export function parsePemBlock(text: string, label: string): Uint8Array {
  const [block, ...others] = parsePem(text);
  if (block === undefined) throw new FormatError(`Cannot read PEM: there is no block, expected ${label}`);
  if (others.length > 0) throw new FormatError(`Cannot read PEM: ${others.length + 1} blocks, expected one ${label}`);
  if (block.label !== label) throw new FormatError(`Cannot read PEM: found ${block.label}, expected ${label}`);
  return block.der;
}

export function serialisePem(label: string, der: Uint8Array): string {
  const base64 = toBase64(der);
  let lines = "";
  for (let at = 0; at < base64.length; at += COLUMNS) lines += base64.slice(at, at + COLUMNS) + "\n";
  return `-----BEGIN ${label}-----\n${lines}-----END ${label}-----\n`;
}

/** Messages never quote the body: it may be a private key. */
function decodeBody(label: string, lines: readonly string[]): Uint8Array {
  if (lines.some((line) => line.includes(":"))) {
    throw new FormatError(
      `Cannot read PEM: ${label} has header lines, as old encrypted keys have; rewrite it with "openssl pkcs8 -topk8"`,
    );
  }
  let der: Uint8Array | undefined;
  try {
    der = fromBase64(lines.join(""));
  } catch {
    // Reported below, without the text.
  }
  if (der === undefined || der.length === 0) {
    throw new FormatError(`Cannot read PEM: the body of ${label} is not base64`);
  }
  return der;
}
