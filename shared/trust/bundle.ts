/**
 * Evidence in a file: all that it took to verify a node, so that it can be verified again, offline and by others.
 *
 * In: JSON from anybody. Out: evidence, the node's certificate, ledger entries. Whatever stands there proves itself or
 * proves nothing; that a connection was seen, and when, is the word of whoever saved it.
 * Also reads what a node answers to `/node/attestations/self`, by itself.
 *
 *     {
 *       "format": "quorate-evidence-bundle", "version": 1,
 *       "saved_at": "2026-11-24T15:00:00.000Z", "source": "https://127.0.0.1:8000",
 *       "evidence": { "format": "AMD_SEV_SNP_v1", "quote": base64, "endorsements": base64, … },
 *       "node_certificate": base64 of DER, "revocation_list": base64 of DER, if one was looked at,
 *       "ledger": base64 of entries 1, 2, 3 …, back to back
 *     }
 */

import { FormatError } from "../assert.ts";
import type { QuotedEvidence } from "../attestation/evidence.ts";
import { QUOTE_FORMATS } from "../attestation/quote_formats.ts";
import { concat, fromBase64, toBase64 } from "../bytes.ts";
import { parseJsonText } from "../json.ts";
import { anything, base64, object, oneOf, text, unsigned } from "../json_shape.ts";
import { entryBytes } from "../ledger/entry.ts";
import { MAX_BUNDLE_CHARACTERS, MAX_BUNDLE_LEDGER_BYTES } from "../limits.ts";

export interface EvidenceBundle {
  readonly evidence: QuotedEvidence;
  /** Where a node's own answer gives it. */
  readonly nodeId?: string;
  /** Of the node, DER: the one that ended the connection on which the evidence came. */
  readonly nodeCertificate?: Uint8Array;
  /** From the first on, without a gap. */
  readonly entries?: readonly Uint8Array[];
  /** DER, of AMD's root. */
  readonly revocationList?: Uint8Array;
  readonly source?: string;
  /** Milliseconds since 1970. */
  readonly savedAtMs?: number;
}

const FORMAT = "quorate-evidence-bundle";
const VERSION = 1;

const quoteFormat = oneOf(...QUOTE_FORMATS);
const bundleShape = object({
  format: text,
  version: unsigned,
  evidence: object({ format: quoteFormat, quote: base64, endorsements: base64 }, {
    uvm_endorsements: base64,
    endorsed_tcb: text,
  }),
}, { saved_at: text, source: text, node_certificate: base64, revocation_list: base64, ledger: base64 });
const answerShape = object({ format: quoteFormat, raw: base64, endorsements: base64 }, {
  node_id: text,
  uvm_endorsements: base64,
  endorsed_tcb: text,
});

/**
 * Reads a bundle, or what a node answers about its own evidence.
 *
 * @throws FormatError
 */
export function parseBundle(json: string): EvidenceBundle {
  if (json.length > MAX_BUNDLE_CHARACTERS) {
    throw new FormatError(`Cannot read evidence: it is longer than ${MAX_BUNDLE_CHARACTERS} characters`);
  }
  const value = parseJsonText(json);
  const { raw, format } = object({}, { raw: anything, format: anything })(value, "");
  if (raw !== undefined) return parseAnswer(value);
  if (format !== FORMAT) {
    throw new FormatError("Cannot read evidence: it is neither a bundle nor what a node answers about itself");
  }
  const bundle = bundleShape(value, "");
  if (bundle.version !== VERSION) {
    throw new FormatError(`Cannot read an evidence bundle of version ${bundle.version}: only ${VERSION} is known`);
  }
  const savedAtMs = bundle.saved_at === undefined ? undefined : parseTime(bundle.saved_at);
  return {
    evidence: quoted(bundle.evidence),
    ...(bundle.node_certificate !== undefined && { nodeCertificate: fromBase64(bundle.node_certificate) }),
    ...(bundle.revocation_list !== undefined && { revocationList: fromBase64(bundle.revocation_list) }),
    ...(bundle.ledger !== undefined && { entries: splitLedger(fromBase64(bundle.ledger)) }),
    ...(bundle.source !== undefined && { source: bundle.source }),
    ...(savedAtMs !== undefined && { savedAtMs }),
  };
}

/** What `GET /node/attestations/self` and `GET /node/quotes/self` answer (nodes-and-attestation.md §10). @throws FormatError */
export function parseAnswer(value: unknown): EvidenceBundle {
  const { raw, node_id, ...rest } = answerShape(value, "");
  if (node_id !== undefined && !/^[0-9a-f]{64}$/.test(node_id)) {
    throw new FormatError("Cannot read evidence: its node ID is not 64 hex digits");
  }
  return { evidence: quoted({ ...rest, quote: raw }), ...(node_id !== undefined && { nodeId: node_id }) };
}

/** @throws FormatError where the entries are too many for a file */
export function serialiseBundle(bundle: EvidenceBundle): string {
  const { evidence, nodeCertificate, revocationList, entries, source, savedAtMs } = bundle;
  const ledgerBytes = entries?.reduce((sum, { length }) => sum + length, 0) ?? 0;
  if (ledgerBytes > MAX_BUNDLE_LEDGER_BYTES) {
    throw new FormatError(
      `Cannot write a bundle: the ledger has ${ledgerBytes} bytes, of ${MAX_BUNDLE_LEDGER_BYTES} at most`,
    );
  }
  const json = {
    format: FORMAT,
    version: VERSION,
    ...(savedAtMs !== undefined && { saved_at: new Date(savedAtMs).toISOString() }),
    ...(source !== undefined && { source }),
    evidence: quoted(evidence),
    ...(nodeCertificate !== undefined && { node_certificate: toBase64(nodeCertificate) }),
    ...(revocationList !== undefined && { revocation_list: toBase64(revocationList) }),
    ...(entries !== undefined && { ledger: toBase64(concat(...entries)) }),
  };
  return JSON.stringify(json, null, 2) + "\n";
}

/** Entries that lie back to back, as nodes hand them out. @throws FormatError */
export function splitLedger(bytes: Uint8Array): Uint8Array[] {
  const entries: Uint8Array[] = [];
  for (let at = 0; at < bytes.length;) {
    const size = entryBytes(bytes.subarray(at));
    if (size > bytes.length - at) throw new FormatError(`Cannot read ledger entries: the last one is cut short`);
    entries.push(bytes.subarray(at, at + size));
    at += size;
  }
  return entries;
}

/** Only what belongs there. */
function quoted({ format, quote, endorsements, uvm_endorsements, endorsed_tcb }: QuotedEvidence): QuotedEvidence {
  return {
    format,
    quote,
    endorsements,
    ...(uvm_endorsements !== undefined && { uvm_endorsements }),
    ...(endorsed_tcb !== undefined && { endorsed_tcb }),
  };
}

function parseTime(text: string): number {
  const ms = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,3})?Z$/.test(text) ? Date.parse(text) : NaN;
  if (Number.isNaN(ms)) {
    throw new FormatError("Cannot read an evidence bundle: its time is none, as 2026-11-24T15:00:00Z");
  }
  return ms;
}
