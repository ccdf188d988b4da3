/** The page "tables". */

import { Page } from "../../parts/page.tsx";
import { PAGES } from "../../routes.ts";

export default function TablesPage() {
  return <Page title={PAGES.tables.title} />;
}
