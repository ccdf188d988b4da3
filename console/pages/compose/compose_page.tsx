/** The page "compose". */

import { Page } from "../../parts/page.tsx";
import { PAGES } from "../../routes.ts";

export default function ComposePage() {
  return <Page title={PAGES.compose.title} />;
}
