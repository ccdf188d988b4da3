/** A screen that needs a ledger, where none is open. */

import { linkTo } from "../routes.ts";
import { Page } from "./page.tsx";
import { Empty } from "./states.tsx";

export function NothingOpen({ title }: { readonly title: string }) {
  return (
    <Page title={title}>
      <Empty>
        <p>
          Nothing is open. <a href={linkTo("connect")}>Connect to a node, or open ledger files</a>.
        </p>
      </Empty>
    </Page>
  );
}
