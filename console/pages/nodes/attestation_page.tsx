/** The page "attestation". */

import { Page } from "../../parts/page.tsx";
import { PAGES } from "../../routes.ts";

export default function AttestationPage() {
  return <Page title={PAGES.attestation.title} />;
}
