/** The page "keys". */

import { Page } from "../../parts/page.tsx";
import { PAGES } from "../../routes.ts";

export default function KeysPage() {
  return <Page title={PAGES.keys.title} />;
}
