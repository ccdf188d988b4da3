/**
 * What evidence is trusted by, in the end: the keys of the makers' root certificates, by fingerprint.
 *
 * Roots travel with the evidence; what stands here decides whether one of them is believed. A caller may pass others, as
 * tests do.
 * Source: the roots as AMD, Intel and Microsoft publish them (attestation/formats.md §4). AMD's three keys are those that
 * CCF pins; Intel's is that of go-tdx-guest and dcap-qvl.
 */

/** AMD's processors with SEV-SNP, by the names in their certificates. */
export type SnpProduct = "Milan" | "Genoa" | "Turin";

export interface TrustAnchor {
  /** Common name of the certificate. */
  readonly name: string;
  /** Hex SHA-256 of the root's SubjectPublicKeyInfo, DER: this is what is compared. */
  readonly spkiSha256: string;
  /** Hex SHA-256 of the certificate that was published, DER: for people who look it up. */
  readonly certificateSha256: string;
  /** The last day of that certificate. */
  readonly ends: string;
}

/** An ARK signs for one product, and is believed for that one alone. */
export const AMD_ROOTS: Readonly<Record<SnpProduct, TrustAnchor>> = {
  Milan: {
    name: "ARK-Milan",
    spkiSha256: "9f056bee44377e29308cb5ffa895bdfb62d18881fa6bed8d6f075b0204089cb9",
    certificateSha256: "69d063b45344d26a2e94e1f4210de49ef555308287d4c174445c95639a540bcd",
    ends: "2045-10-22",
  },
  Genoa: {
    name: "ARK-Genoa",
    spkiSha256: "429a69c9422aa258ee4d8db5fcda9c6470ef15f8cd5a9cebd6cbc7d90b863831",
    certificateSha256: "4c6598d19c18719c5dfd4a7d335f674e5bfe1d8f800cea2cf270c10d103db2f1",
    ends: "2047-01-26",
  },
  Turin: {
    name: "ARK-Turin",
    spkiSha256: "4f125410563a2ab9a50356f9243f6fe0b6f73de98603f53f90339c70e9d7ad08",
    certificateSha256: "1f084161a44bb6d93778a904877d4819cafa5d05ef4193b2ded9dd9c73dd3f6a",
    ends: "2048-05-15",
  },
};

/** Above every processor with SGX or TDX, and above what Intel says about their state. */
export const INTEL_SGX_ROOT: TrustAnchor = {
  name: "Intel SGX Root CA",
  spkiSha256: "a0af031289f5d5d4132f9186068a7fc13628633ba235777472e29b6b6c67a49e",
  certificateSha256: "44a0196b2b99f889b8e149e95b807a350e7424964399e885a7cbb8ccfab674d3",
  ends: "2049-12-31",
};

/**
 * Above Microsoft's endorsements of utility VMs. A did:x509 names it by the hash of the certificate, so that is what
 * their check compares; no hash of the key is needed.
 */
export const MICROSOFT_UVM_ROOT: Omit<TrustAnchor, "spkiSha256"> = {
  name: "Microsoft Supply Chain RSA Root CA 2022",
  certificateSha256: "23ffe2b8bdb9a1711515d4cffda04bc7f793d513c76c243f1020507d8669b7db",
  ends: "2047-02-17",
};
