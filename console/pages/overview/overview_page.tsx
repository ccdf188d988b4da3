/** The page "overview". */

import { Page } from "../../parts/page.tsx";
import { PAGES } from "../../routes.ts";

export default function OverviewPage() {
  return <Page title={PAGES.overview.title} />;
}
