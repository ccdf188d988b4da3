/** The page "apps". */

import { Page } from "../../parts/page.tsx";
import { PAGES } from "../../routes.ts";

export default function AppsPage() {
  return <Page title={PAGES.apps.title} />;
}
