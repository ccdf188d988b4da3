/** The page "constitution". */

import { Page } from "../../parts/page.tsx";
import { PAGES } from "../../routes.ts";

export default function ConstitutionPage() {
  return <Page title={PAGES.constitution.title} />;
}
