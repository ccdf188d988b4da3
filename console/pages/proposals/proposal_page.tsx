/** The page "proposal". */

import { Page } from "../../parts/page.tsx";
import { PAGES } from "../../routes.ts";

export default function ProposalPage() {
  return <Page title={PAGES.proposal.title} />;
}
