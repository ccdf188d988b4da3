/**
 * Names of the formats of a node's evidence, as they stand in requests to join, in the ledger and in answers.
 *
 * Formats: nodes-and-attestation.md §8; the two of Intel's DCAP are ours, which CCF does not know: `evidence.ts`
 */

export const QUOTE_FORMATS = [
  // Of Open Enclave, in ledgers of before CCF 6.0; it lets nobody in any more.
  "OE_SGX_v1",
  "Insecure_Virtual",
  "AMD_SEV_SNP_v1",
  "Intel_TDX_v1",
  "Intel_SGX_DCAP_v1",
] as const;

export type QuoteFormat = typeof QUOTE_FORMATS[number];
