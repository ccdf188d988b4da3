/** The page "proposals". */

import { Page } from "../../parts/page.tsx";
import { PAGES } from "../../routes.ts";

export default function ProposalsPage() {
  return <Page title={PAGES.proposals.title} />;
}
