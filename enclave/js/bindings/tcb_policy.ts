/**
 * Versions of the trusted computing base of AMD SEV-SNP as governance sets minima for them.
 *
 * In: a processor's CPUID and a TCB version as AMD and Azure print them, in hex. Out: the version's components by name.
 * Knows nothing of attestation reports. Layouts: AMD 56860 (TCB_VERSION), attestation/formats.md §1;
 * nodes-and-attestation.md §8.1, §9
 *
 *     00a00f11  DB18000000000004 → {"hexstring":"db18000000000004","microcode":219,"snp":24,"tee":0,"boot_loader":4}
 */

import { FormatError } from "../../../shared/assert.ts";
import { fromHex } from "../../../shared/bytes.ts";

/** In the order of CCF, since the object's text goes into the ledger. */
export interface TcbPolicy {
  readonly hexstring: string;
  readonly microcode: number;
  readonly snp: number;
  readonly tee: number;
  readonly boot_loader: number;
  readonly fmc?: number;
}

const CPUID_BYTES = 4;
const TCB_BYTES = 8;

/** Where each component is among the bytes from the lowest one, the reverse of how they are printed. */
const LAYOUTS = {
  zen3AndZen4: { microcode: 7, snp: 6, tee: 1, boot_loader: 0 },
  zen5: { microcode: 7, snp: 3, tee: 2, boot_loader: 1, fmc: 0 },
} as const;

/** Milan, Genoa and Turin; CCF knows no others. */
const PRODUCTS: readonly (readonly [family: number, model: number, layout: keyof typeof LAYOUTS])[] = [
  [0x19, 0x01, "zen3AndZen4"],
  [0x19, 0x11, "zen3AndZen4"],
  [0x1a, 0x02, "zen5"],
];

/**
 * Takes a TCB version apart.
 *
 * @param cpuid hex of EAX of CPUID function 1, highest byte first
 * @param tcb hex of eight bytes, highest byte first
 * @throws FormatError in CCF's words
 */
export function tcbPolicy(cpuid: string, tcb: string): TcbPolicy {
  const [family, model] = familyAndModel(cpuid);
  const bytes = bytesOf(tcb);
  if (bytes.length !== TCB_BYTES) throw new FormatError(`Invalid TCB version data size: ${bytes.length}`);
  const [, , layout] = PRODUCTS.find((product) => product[0] === family && product[1] === model) ?? [];
  if (layout === undefined) throw new FormatError(`SEV-SNP: Unsupported CPUID family ${family} model ${model}`);
  const lowestFirst = bytes.reverse();
  const components = Object.entries(LAYOUTS[layout]).map(([name, at]) => [name, lowestFirst[at]]);
  return { hexstring: tcb.toLowerCase(), ...Object.fromEntries(components) };
}

/** Bits, from the lowest: stepping 4, model 4, family 4, reserved 4, extended model 4, extended family 8. */
function familyAndModel(cpuid: string): readonly [family: number, model: number] {
  const bytes = bytesOf(cpuid);
  if (bytes.length !== CPUID_BYTES) {
    throw new FormatError(`Output container of size ${CPUID_BYTES} cannot fit decoded hex str ${bytes.length}`);
  }
  const eax = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0);
  const bits = (from: number, count: number) => (eax >>> from) & ((1 << count) - 1);
  // CCF adds in a byte.
  return [(bits(8, 4) + bits(20, 8)) & 0xff, (bits(16, 4) << 4) | bits(4, 4)];
}

/** CCF does not look at the digits, and takes others for some number; here they are refused. */
function bytesOf(hex: string): Uint8Array {
  if (hex.length % 2 !== 0) {
    throw new FormatError(`Input string '${hex}' is not of even length: ${hex.length}`);
  }
  return fromHex(hex);
}
