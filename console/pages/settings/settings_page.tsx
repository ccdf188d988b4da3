/** The page "settings". */

import { Page } from "../../parts/page.tsx";
import { PAGES } from "../../routes.ts";

export default function SettingsPage() {
  return <Page title={PAGES.settings.title} />;
}
