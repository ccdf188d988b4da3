/**
 * Verifying recorded evidence in headless Chromium: how long one full verification takes in a page.
 *
 * Everything is read anew each time, as by somebody who opens the page for one node: report or quote, certificates,
 * lists of revoked ones, collateral. The longest is mostly the first of a new page, before the compiler has seen the code.
 */

import type { PageAnswer } from "../attestation_page.ts";
import { answerOfPage, bundled, chromiumVersion } from "../chromium.ts";
import { haveTeamData, teamData } from "../team_data.ts";
import type { Figure } from "./figure.ts";

/** Vectors that are accepted, with lists of revoked certificates. */
const VECTORS = [
  { id: "snp-milan-v2-crl", what: "report of SEV-SNP" },
  { id: "tdx-v4-uptodate-a", what: "quote of TDX" },
  { id: "sgx-v3-confneeded-allowed", what: "quote of SGX" },
] as const;
const TIMES = 100;
/** Issue 5, for a full verification in headless Chromium. */
const TARGET_MS = 150;

export async function benchAttestationBrowser(): Promise<Figure[]> {
  const version = await chromiumVersion();
  if (!haveTeamData || version === undefined) {
    console.error(
      "attestation is not measured in a browser: it takes recorded evidence, of the team folder, and chromium",
    );
    return [];
  }
  const bundle = await bundled(new URL("../attestation_page.ts", import.meta.url));
  const figures: Figure[] = [];
  for (const { id, what } of VECTORS) {
    const query = { id, times: String(TIMES) };
    const answer = await answerOfPage(bundle, teamData("attestation/vectors"), query) as PageAnswer;
    const { results: { passed, failed }, durationsMs } = answer;
    if (passed !== 1 || failed !== 0) throw new Error(`What is measured must verify: ${what}`);
    const sorted = durationsMs.toSorted((a, b) => a - b);
    const figure = { group: "attest", unit: "ms", target: TARGET_MS };
    figures.push(
      { ...figure, what: `${what} in a page, all read anew, median`, value: sorted[TIMES >> 1]!, note: version },
      { ...figure, what: `${what} in a page, longest of ${TIMES}`, value: sorted.at(-1)! },
    );
  }
  return figures;
}
