/** The page "ledger". */

import { Page } from "../../parts/page.tsx";
import { PAGES } from "../../routes.ts";

export default function LedgerPage() {
  return <Page title={PAGES.ledger.title} />;
}
