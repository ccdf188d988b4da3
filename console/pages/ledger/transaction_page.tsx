/** The page "transaction". */

import { Page } from "../../parts/page.tsx";
import { PAGES } from "../../routes.ts";

export default function TransactionPage() {
  return <Page title={PAGES.transaction.title} />;
}
