/**
 * Intel TDX: a quote of the whole virtual machine, from configfs-tsm.
 *
 * In: report data. Out: a DCAP quote of version 4 or 5, without the zeros that the driver's buffer has behind it.
 * Format: attestation/formats.md §3.1, §3.2; traps: §0.7, §5.1
 */

import { FormatError } from "../../shared/assert.ts";
import { Reader } from "../../shared/bytes.ts";
import { MAX_TDX_QUOTE_BYTES } from "../../shared/limits.ts";
import { tsmReport } from "./configfs_tsm.ts";
import { PlatformFailure, type Protocol } from "./devices.ts";
import type { Platform, RawEvidence } from "./platform.ts";

const TEE_TYPE = 0x81;
const HEADER_BYTES = 48;
const TD_REPORT_BYTES = 584;
/** From the beginning of the body. */
const MRTD = { from: 136, to: 184 };

export function tdxPlatform(name: string): Platform {
  return {
    kind: "tdx",
    evidence: (reportData) => fromConfigfs(name, reportData),
    measure: (quote) => {
      const { bodyAt } = readExtent(quote);
      return quote.slice(bodyAt + MRTD.from, bodyAt + MRTD.to);
    },
  };
}

function* fromConfigfs(name: string, reportData: Uint8Array): Protocol<RawEvidence> {
  const { outblob } = yield* tsmReport("tdx_guest", name, reportData);
  if (outblob.length > MAX_TDX_QUOTE_BYTES) {
    throw new PlatformFailure(
      `Cannot use the evidence of TDX: ${outblob.length} bytes, more than ${MAX_TDX_QUOTE_BYTES}, are a token of DICE and ` +
        "no quote, which this version does not know; use a machine whose host has Intel's quote generation service",
    );
  }
  try {
    return { quote: withoutPadding(outblob), certificates: new Uint8Array() };
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    throw new PlatformFailure(
      `Cannot use the evidence of TDX: ${error.message}; is the host's quote service up to date?`,
    );
  }
}

/** @throws FormatError where it is no quote of TDX, or has something other than zeros behind it */
export function withoutPadding(buffer: Uint8Array): Uint8Array {
  const { quoteBytes } = readExtent(buffer);
  if (buffer.subarray(quoteBytes).some((byte) => byte !== 0)) {
    throw new FormatError(`Cannot read a quote of TDX: after its ${quoteBytes} bytes there is something else`);
  }
  return buffer.slice(0, quoteBytes);
}

/** Where the parts are. What they say is for the verifier to read. */
function readExtent(buffer: Uint8Array): { readonly bodyAt: number; readonly quoteBytes: number } {
  const reader = new Reader(buffer);
  const version = reader.u8() + 0x100 * reader.u8();
  reader.bytes(2);
  const teeType = reader.u32();
  if ((version !== 4 && version !== 5) || teeType !== TEE_TYPE) {
    throw new FormatError(
      `Cannot read a quote of TDX: version ${version} and type 0x${
        teeType.toString(16)
      } are not version 4 or 5 and 0x81`,
    );
  }
  reader.bytes(HEADER_BYTES - reader.position);
  let bodyBytes = TD_REPORT_BYTES;
  if (version === 5) {
    reader.bytes(2);
    bodyBytes = reader.u32();
  }
  const bodyAt = reader.position;
  if (bodyBytes < TD_REPORT_BYTES) throw new FormatError(`Cannot read a quote of TDX: its body has ${bodyBytes} bytes`);
  reader.bytes(bodyBytes);
  reader.bytes(reader.u32());
  return { bodyAt, quoteBytes: reader.position };
}
