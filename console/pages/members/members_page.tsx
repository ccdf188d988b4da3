/** The page "members". */

import { Page } from "../../parts/page.tsx";
import { PAGES } from "../../routes.ts";

export default function MembersPage() {
  return <Page title={PAGES.members.title} />;
}
