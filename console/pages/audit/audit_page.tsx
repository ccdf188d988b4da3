/** The page "audit". */

import { Page } from "../../parts/page.tsx";
import { PAGES } from "../../routes.ts";

export default function AuditPage() {
  return <Page title={PAGES.audit.title} />;
}
