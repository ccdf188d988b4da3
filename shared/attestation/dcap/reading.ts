/**
 * DCAP evidence, read piece by piece: each piece once, when somebody asks for it.
 *
 * In: a quote and collateral. Out: their parts, and the status that follows from them, whether or not any of it is true.
 * So a verdict can name what it refuses, and a reader of many quotes parses collateral once.
 * Knows nothing of signatures, dates and policies.
 */

import { FormatError } from "../../assert.ts";
import type { Certificate } from "../../crypto/x509.ts";
import type { Refusal } from "../evidence_steps.ts";
import { type Collateral, type CollateralTexts, parseCollateral } from "./collateral.ts";
import { parsePckPlatform, parsePemChain, type PckPlatform } from "./pck_certificate.ts";
import { parseQuote, parseQuoteHeader, PCK_CHAIN_TYPE, type Quote, type QuoteHeader } from "./quote.ts";
import {
  findModuleState,
  findPlatformLevels,
  findQeLevel,
  isRefusal,
  joinLevels,
  type ModuleState,
  type TcbResult,
} from "./tcb_status.ts";

export interface DcapEvidence {
  readonly quote: Uint8Array;
  /** As a file has it, or parsed, which a caller may keep. */
  readonly collateral?: CollateralTexts | Collateral;
}

/** What evidence says, as far as it can be read and computed. */
export interface DcapValues {
  readonly quote?: Quote;
  /** Leaf, intermediate, root. */
  readonly pckChain?: readonly Certificate[];
  readonly platform?: PckPlatform;
  /** Not there without collateral, and where the platform reaches no level. */
  readonly tcb?: TcbResult;
}

/** Evidence read piece by piece, each once, when somebody asks. */
export class Reading {
  readonly header: () => QuoteHeader;
  readonly quote: () => Quote;
  readonly pckChain: () => readonly Certificate[];
  readonly platform: () => PckPlatform;
  readonly collateral: () => Collateral | undefined;
  readonly tcb: () => TcbFindings | undefined;

  constructor({ quote, collateral }: DcapEvidence) {
    this.header = once(() => parseQuoteHeader(quote));
    this.quote = once(() => parseQuote(quote));
    this.pckChain = once(() => pckChainOf(this.quote()));
    this.platform = once(() => {
      const [leaf] = this.pckChain();
      if (leaf === undefined) throw new FormatError("Cannot read a quote: it has no PCK certificate");
      return parsePckPlatform(leaf);
    });
    this.collateral = once(() =>
      collateral === undefined || "tcbInfo" in collateral ? collateral : parseCollateral(collateral)
    );
    this.tcb = once(() => {
      const parsed = this.collateral();
      return parsed === undefined ? undefined : findTcb(this.quote(), this.platform(), parsed);
    });
  }

  /** Whatever can be read. */
  values(): DcapValues {
    const [quote, pckChain, platform] = [readable(this.quote), readable(this.pckChain), readable(this.platform)];
    const tcb = readable(this.tcb)?.result;
    return {
      ...(quote === undefined ? {} : { quote }),
      ...(pckChain === undefined ? {} : { pckChain }),
      ...(platform === undefined ? {} : { platform }),
      ...(tcb === undefined ? {} : { tcb }),
    };
  }
}

/** The parts of a status, each found or refused, and the result where all were found. */
export interface TcbFindings {
  readonly qe: ReturnType<typeof findQeLevel>;
  readonly levels: ReturnType<typeof findPlatformLevels>;
  /** Undefined of SGX. */
  readonly module: ModuleState | Refusal | undefined;
  readonly result?: TcbResult;
}

function findTcb({ body, qeReport }: Quote, platform: PckPlatform, { tcbInfo, qeIdentity }: Collateral): TcbFindings {
  const qe = findQeLevel(qeIdentity.value, qeReport);
  const levels = findPlatformLevels(tcbInfo.value, platform, body);
  const module = body.kind === "sgx" ? undefined : findModuleState(tcbInfo.value, body);
  const found = { qe, levels, module };
  if (isRefusal(qe) || isRefusal(levels) || (module !== undefined && isRefusal(module))) return found;
  return { ...found, result: joinLevels(tcbInfo.value, body, levels, module, qe) };
}

function pckChainOf({ certification: { type, data } }: Quote): readonly Certificate[] {
  if (type !== PCK_CHAIN_TYPE) throw new FormatError(`Cannot read a PCK chain: the quote has data of type ${type}`);
  return parsePemChain(data);
}

/** Reads once, and afterwards answers, or throws, the same. */
function once<T>(read: () => T): () => T {
  let kept: { readonly value: T } | { readonly error: FormatError } | undefined;
  return () => {
    if (kept === undefined) {
      try {
        kept = { value: read() };
      } catch (error) {
        if (!(error instanceof FormatError)) throw error;
        kept = { error };
      }
    }
    if ("error" in kept) throw kept.error;
    return kept.value;
  };
}

/** What can be read, else undefined. */
export function readable<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof FormatError) return undefined;
    throw error;
  }
}

/** The refusal that a check answers; bytes that it cannot read are malformed. */
export function refusalOf(check: () => Refusal | undefined): Refusal | undefined {
  try {
    return check();
  } catch (error) {
    if (error instanceof FormatError) return { code: "malformed", detail: error.message };
    throw error;
  }
}
