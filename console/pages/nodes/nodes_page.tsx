/** The page "nodes". */

import { Page } from "../../parts/page.tsx";
import { PAGES } from "../../routes.ts";

export default function NodesPage() {
  return <Page title={PAGES.nodes.title} />;
}
