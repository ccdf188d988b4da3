/** The page "receipts". */

import { Page } from "../../parts/page.tsx";
import { PAGES } from "../../routes.ts";

export default function ReceiptsPage() {
  return <Page title={PAGES.receipts.title} />;
}
