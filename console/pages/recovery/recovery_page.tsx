/** The page "recovery". */

import { Page } from "../../parts/page.tsx";
import { PAGES } from "../../routes.ts";

export default function RecoveryPage() {
  return <Page title={PAGES.recovery.title} />;
}
