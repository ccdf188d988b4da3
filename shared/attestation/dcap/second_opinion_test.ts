/**
 * What another implementation of DCAP says of the same evidence: Phala's `dcap-qvl`, for tests alone.
 *
 * It asks nothing that a relying party wants, needs revocation lists, and knows no SGX in quotes of version 4. Where the
 * two differ it is written down here, with the reason (attestation/formats.md §6): everywhere else they must agree.
 */

import { strict as assert } from "node:assert";
import { Buffer } from "node:buffer";
import { QuoteVerifier } from "@phala/dcap-qvl";
import { type DcapCase, dcapCase, dcapVectors } from "../../../tests/dcap_vectors.ts";
import { fromFileUrl, join } from "../../../tests/paths.ts";
import { teamTest } from "../../../tests/team_data.ts";
import { noblePrimitives } from "../../crypto/primitives.ts";
import { parseCertificatePem } from "../../crypto/x509.ts";
import { TCB_STATUSES } from "./tcb_info.ts";
import { verifyDcap } from "./verify.ts";

const COMPONENTS = "with a TDX module of version 1 it compares the module's SVNs with the platform's levels too";
/** What it says, where we say something else, and why. */
const DIFFERENCES: Readonly<Record<string, readonly [theirs: string, why: string]>> = {
  "tdx-v5-module-outofdate": ["refused", COMPONENTS],
  "tdx-v4-outofdate-azure": ["refused", COMPONENTS],
  "tdx-v4-uptodate-gcp-padded": ["OutOfDate INTEL-SA-00960 INTEL-SA-00982 INTEL-SA-00986", COMPONENTS],
  "syn-sgx-v4-ok": ["refused", "it knows SGX only in quotes of version 3"],
  "syn-crl-serial-other-issuer": ["refused", "it looks for serial numbers in the lists of any issuer"],
  "syn-crl-expired": ["UpToDate", "it does not look at the dates of lists"],
  "syn-crl-wrong-issuer": ["UpToDate", "it does not look at the issuers and signatures of lists"],
  "syn-tcbsigner-wrong-cn": ["UpToDate", "it takes any certificate below the root for a signer of TCB info"],
  "syn-pck-issued-by-leaf": ["UpToDate", "it takes any certificate for an authority"],
  "syn-tdx-seamattributes": ["UpToDate", "it does not compare SEAMATTRIBUTES"],
  "syn-tdx-module-unknown": ["UpToDate", "it takes modules that the TCB info does not know"],
};

type CaseWithLists = DcapCase & { readonly collateral: NonNullable<DcapCase["collateral"]> };

function hasLists(one: DcapCase): one is CaseWithLists {
  return one.collateral !== undefined && one.collateral.root_ca_crl !== null && one.collateral.pck_crl !== null;
}

/** Status and advisories, or "refused". */
function ourOpinion({ quote, collateral, at, pins }: CaseWithLists): string {
  const policy = { acceptTcbStatus: TCB_STATUSES };
  const { verdict, tcb } = verifyDcap({ quote, collateral }, { at, policy, pins }, noblePrimitives);
  return verdict === "verified" ? [tcb!.status, ...tcb!.advisoryIds].join(" ") : "refused";
}

function theirOpinion({ quote, collateral, at, root }: CaseWithLists): string {
  const verifier = QuoteVerifier.newWithRootCa(Buffer.from(parseCertificatePem(root).der));
  try {
    // deno-lint-ignore no-explicit-any -- its types want lists as bytes; it takes, and the vectors have, hex
    const report = verifier.verify(Buffer.from(quote), collateral as any, at / 1000);
    return [report.status, ...[...report.advisory_ids].sort()].join(" ");
  } catch {
    return "refused";
  }
}

teamTest(
  "another implementation says the same of every vector with revocation lists, but for what is written down",
  () => {
    const compared = dcapVectors().map((vector) => ({ id: vector.id, ...dcapCase(vector) }));
    const differences: Record<string, string> = {};
    let count = 0;
    for (const one of compared) {
      if (!hasLists(one)) continue;
      count++;
      const [ours, theirs] = [ourOpinion(one), theirOpinion(one)];
      if (ours !== theirs) differences[one.id] = theirs;
    }
    assert.equal(count, 42);
    assert.deepEqual(
      differences,
      Object.fromEntries(Object.entries(DIFFERENCES).map(([id, [theirs]]) => [id, theirs])),
    );
  },
);

Deno.test("the other implementation is used by this test alone", () => {
  const root = fromFileUrl(new URL("../../../", import.meta.url));
  const users = ["shared", "enclave", "node", "console", "getting_started", "tests"].flatMap((room) => [...walk(room)])
    .filter((path) => /["']@phala\/dcap-qvl/.test(Deno.readTextFileSync(join(root, path))));
  assert.deepEqual(users, ["shared/attestation/dcap/second_opinion_test.ts"]);

  function* walk(folder: string): Generator<string> {
    for (const { name, isDirectory } of Deno.readDirSync(join(root, folder))) {
      if (isDirectory) yield* walk(`${folder}/${name}`);
      else if (/\.(ts|tsx|js)$/.test(name)) yield `${folder}/${name}`;
    }
  }
});
