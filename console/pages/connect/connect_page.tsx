/** The page "connect". */

import { Page } from "../../parts/page.tsx";
import { PAGES } from "../../routes.ts";

export default function ConnectPage() {
  return <Page title={PAGES.connect.title} />;
}
